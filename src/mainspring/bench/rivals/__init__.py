"""The rivals of ``mainspring bench --compare``: each in an environment of its own.

A rival is a row of ``postgresql`` or ``redis``, pinned packages in ``pins``, and a small script in
``adapters`` that runs inside its environment and enqueues with its own calls. All run the same
no-op task of two integers, which counts itself in a memory page that all processes share: the same
small cost for each, and none in its storage. A drain lasts from the first task started to the last
one stored, for which the rival's own tables or keys are asked once all tasks have started.
"""
