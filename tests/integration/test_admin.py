"""The admin shows jobs and workers to those who may view them, and changes nothing."""

import pytest
from django.contrib.auth.models import Permission, User
from django.tasks import task_backends
from django.utils import timezone

from mainspring.backends.database.models import StoredJob
from mainspring.core import clock, outcomes
from mainspring.core.errors import TaskError
from mainspring.core.jobs import Worker
from tests.unit import tasks

JOBS = "/admin/mainspring_database/storedjob/"
WORKERS = "/admin/mainspring_database/registeredworker/"

pytestmark = pytest.mark.django_db


@pytest.fixture
def storage(settings):
    settings.TASKS = {
        **settings.TASKS,
        "default": {"BACKEND": "mainspring.backends.database.DatabaseBackend"},
    }
    return task_backends["default"].storage


@pytest.fixture
def failed(storage):
    result = tasks.add.enqueue(1, b="<two>")
    worker = Worker("a-worker", 7)
    storage.heartbeat(worker, clock.now())
    (job,) = storage.claim(worker, ["*"], 1)
    now = clock.now()
    error = TaskError("builtins.ValueError", "Traceback: no <number>")
    storage.settle(worker, [outcomes.failed(job, worker.id, now, now, error)])
    return result


def test_a_job_shows_its_call_and_its_errors(admin_client, failed):
    page = admin_client.get(f"{JOBS}{failed.id}/change/").content.decode()
    assert "1, b=&#x27;&lt;two&gt;&#x27;" in page
    assert "after 0.000 s, by a-worker:\nTraceback: no &lt;number&gt;" in page


def test_a_moment_that_no_zone_has_is_shown_as_the_nearest_one(admin_client, storage):
    """Earlier versions have stored what lies beyond the end of the last year."""
    result = tasks.add.enqueue(1, b=2)
    StoredJob.objects.filter(pk=result.id).update(run_after=2**62, available_at=2**62)
    for page in (JOBS, f"{JOBS}{result.id}/change/"):
        with timezone.override("Pacific/Kiritimati"):
            assert "9999" in admin_client.get(page).content.decode()


def test_a_row_of_a_map_shows_its_first_call(admin_client, storage):
    tasks.add.map(range(10, 20))
    worker = Worker("a-worker", 7)
    storage.heartbeat(worker, clock.now())
    for job in storage.claim(worker, ["*"], 100):
        values = job.arguments  # b is 0
        now = clock.now()
        storage.settle(worker, [outcomes.succeeded(job, worker.id, now, now, values)])
    pages = [
        admin_client.get(f"{JOBS}{job_id}/change/").content.decode()
        for job_id in _ids(admin_client, "")
    ]
    assert any("calls, the first of them: 1" in page for page in pages)
    assert any(page.count(">10<") == 2 for page in pages)  # argument and value of a row of one call


def test_a_job_shows_what_was_noted_down(admin_client, storage):
    result = tasks.add.using(metadata={"page": "<3>"}).enqueue(1)
    storage.heartbeat(worker := Worker("a-worker", 7), clock.now())
    (job,) = storage.claim(worker, ["*"], 1)
    storage.save_metadata(job, b'{"page":"<3>","_progress":[2,5,"rows"]}')
    page = admin_client.get(f"{JOBS}{result.id}/change/").content.decode()
    assert "page: &#x27;&lt;3&gt;&#x27;" in page
    assert "2 of 5 done rows" in page


def test_jobs_are_listed_and_found_by_state_and_id(admin_client, failed):
    other = tasks.add.enqueue(3, 4)
    assert {failed.id, other.id} <= set(_ids(admin_client, ""))
    assert _ids(admin_client, "?state__exact=4") == [failed.id]
    assert _ids(admin_client, f"?q={other.id}") == [other.id]


def _ids(client, query):
    return [row.id for row in client.get(JOBS + query).context["cl"].result_list]


def test_workers_are_listed(admin_client, failed):
    assert "a-worker" in admin_client.get(WORKERS).content.decode()


def test_nothing_can_be_changed(admin_client, failed):
    assert admin_client.get(f"{JOBS}add/").status_code == 403
    assert admin_client.post(f"{JOBS}{failed.id}/change/", {"state": 1}).status_code == 403
    assert admin_client.post(f"{JOBS}{failed.id}/delete/", {"post": "yes"}).status_code == 403


def test_only_those_with_the_permission_see_it(client, failed):
    clerk = User.objects.create_user("clerk", is_staff=True)
    client.force_login(clerk)
    assert client.get(JOBS).status_code == 403
    clerk.user_permissions.add(Permission.objects.get(codename="view_storedjob"))
    assert client.get(JOBS).status_code == 200
    assert client.get(WORKERS).status_code == 403
