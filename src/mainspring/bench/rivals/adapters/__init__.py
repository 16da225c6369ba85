"""What runs beside a rival, inside its own virtual environment; see ``bench_client`` for how.

These files stand on the path of every rival's environment, hence the prefixes: no name may hide a
package of a rival's. They need nothing but the standard library and the rival.
"""
