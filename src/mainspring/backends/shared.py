"""What the backends of one process share: settings and store, where Django builds many backends."""

import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast

from django.core.signals import setting_changed
from django.dispatch import receiver
from django.utils.module_loading import import_string

from mainspring import conf
from mainspring.backends.locks import renewed

if TYPE_CHECKING:
    from mainspring.backends.storage import Storage

_configs: dict[str, tuple[type, Mapping[str, Any], conf.Config]] = {}
_storages: dict[str, "tuple[conf.Config, Storage]"] = {}
_lock = renewed(threading.Lock())


def shared_config(
    cls: type, alias: str, params: Mapping[str, Any], options: frozenset[str]
) -> conf.Config:
    """Return the parsed settings of a backend; the same object until the settings change."""
    with _lock:
        known = _configs.get(alias)
        if known is not None and known[0] is cls and known[1] == params:
            return known[2]
        config = conf.parse(alias, params, options)
        _configs[alias] = (cls, dict(params), config)
        return config


def shared_storage[S: Storage](config: conf.Config, cls: Callable[[conf.Config], S]) -> S:
    """Return the process's one storage of these settings, made at the first call.

    Raises ``InvalidTaskBackend`` if the settings are wrong.
    """
    found = _storages.get(config.alias)
    if found is None or found[0] is not config:
        config.require_valid()
        with _lock:
            found = _storages.get(config.alias)
            if found is None or found[0] is not config:
                found = _storages[config.alias] = (config, cls(config))
    return cast("S", found[1])


def start_embedded_worker(alias: str) -> None:
    """See to it that this process runs the tasks of a backend itself.

    The one call upwards, by name: a backend that works on its own queue needs the runtime.
    """
    import_string("mainspring.runtime.embedded.ensure_started")(alias)


@receiver(setting_changed)
def _forget_settings(*, setting: str, **_kwargs: Any) -> None:
    # Tests change TASKS; Django forgets its backends then, too. Routers move a store's tables.
    if setting in {"TASKS", "DATABASE_ROUTERS"}:
        with _lock:
            storages = [storage for _, storage in _storages.values()]
            _storages.clear()
            _configs.clear()
        for storage in storages:
            storage.is_closed = True
            storage.close()
