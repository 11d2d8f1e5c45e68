"""Work on the ranks of this job: who says what when it ends, well or not."""

import sys
import traceback
from collections.abc import Callable
from typing import Any

from veldt.platform import ranks as platform_ranks
from veldt.platform.errors import InputError, Interrupted, VeldtError
from veldt.platform.interrupts import Interrupts
from veldt.platform.ranks import Ranks

Work = Callable[[Ranks, Callable[[], bool]], Any]


def on_ranks(work: Work) -> None:
    """Does `work` on every rank; one that cannot go on ends them all, with the reason.

    Args:
        work: Given the ranks, and the question whether it is to stop. It raises InputError or
            Interrupted only where the other ranks come to their end as well.
    """
    ranks = platform_ranks.join()
    try:
        with Interrupts() as stop:
            work(ranks, stop)
    except (InputError, Interrupted) as error:
        # The others know, and are on their way out as well.
        if ranks.rank == 0:
            print(f"veldt: {error}", file=sys.stderr, flush=True)
        ranks.leave(error.exit_code)
        sys.exit(error.exit_code)
    except BaseException as error:
        if ranks.size > 1:
            words = str(error) if isinstance(error, VeldtError) else traceback.format_exc()
            print(f"veldt: rank {ranks.rank}: {words}", file=sys.stderr, flush=True)
            ranks.abort()
        raise
    ranks.leave()
