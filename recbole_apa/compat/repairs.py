"""What is repaired in RecBole: the table that ``recbole_compat`` works through and ``docs/recbole.md`` shows."""

from recbole_apa.compat.repairs_of_recbole import OF_RECBOLE
from recbole_apa.compat.repairs_of_stack import OF_STACK

REPAIRS = (*OF_STACK, *OF_RECBOLE)
