"""A run of APANext: on disk, trained, opened, made to forget, proved.

It may not know the command line. Programs use the names of ``recbole_apa.next_item``.
"""

__all__: list[str] = []
