"""What is printed of metrics."""

from __future__ import annotations

import logging
import re

_ROW_OF_AN_ABSENT_CLASS = re.compile(r'\|[^|]+(\|\s*nan\s*)+\|')


class PresentClasses(logging.Filter):
    """Leaves rows without a number out of the packages' tables of results by class.

    A class that is neither in the images nor predicted has no IoU; a set that shows eleven of ADE20K's 150 classes
    would print 139 rows of nan. The packages' metrics offer no setting for it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.msg, str) and 'nan' in record.msg:
            lines = record.msg.split('\n')
            record.msg = '\n'.join(line for line in lines if not _ROW_OF_AN_ABSENT_CLASS.fullmatch(line))
        return True
