"""Survey, the first reading of a part: what is needed of every document to decide from, in blocks (survey_blocks.py).

A survey belongs to its files, each known by path, size and time: where another file is added, changed or taken away,
what was surveyed is not read again. A block is stored when it is whole: a killed survey continues after the last block.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from hamner.config.errors import BadInput
from hamner.data.preparation.part import (
    BATCH_CHARACTERS,
    BATCH_DOCUMENTS,
    Advance,
    Part,
    batches,
    generator,
    part_documents,
    read_part,
)
from hamner.data.preparation.plan import Plan
from hamner.data.preparation.store import Store
from hamner.data.preparation.survey_blocks import (
    Columns,
    FileSurvey,
    blocks,
    blocks_of,
    difference,
    survey_columns,
    text_hash,
    write_block,
)
from hamner.data.sources import Document, Tally

BLOCK_CHARACTERS, BLOCK_DOCUMENTS = 2**26, 200_000  # a block ends with whichever comes first


def survey_part(plan: Plan, part: Part, advance: Advance, block_documents: int = BLOCK_DOCUMENTS) -> None:
    """Write the part's missing blocks. Raises BadInput with every file that cannot be read; the others are kept."""
    writer = BlockWriter(plan, part, block_documents)
    if not part.files:
        read_part(part, part_documents(part, writer.tally), writer.tally, writer, advance)
        return
    if writer.is_complete:
        advance(part.size)
        return
    earlier = EarlierSurveys(plan)
    problems: list[str] = []
    for path, key in zip(part.files, part.file_keys, strict=True):
        if key in writer.finished:
            advance(writer.size_of(path))
            continue
        try:
            survey = earlier.find(key)
            if survey:
                writer.take(*survey)
                advance(writer.size_of(path))
            else:
                writer.read(part.of_file(path), advance)
            writer.finish_file(key)
        except BadInput as error:
            problems += error.problems
            if not writer.leave_out_file():
                break
    if problems:
        writer.keep()
        raise BadInput(problems)
    writer.close()


class EarlierSurveys:
    """Surveys of files that an earlier plan has left, where it put them together with others."""

    def __init__(self, plan: Plan) -> None:
        self._store, self._names = plan.store, plan.earlier
        self._name = ""  # of the survey that is loaded
        self._columns: Columns = {}
        self._files: dict[str, FileSurvey] = {}

    def find(self, key: str) -> tuple[Columns, Tally] | None:
        """Columns and counts of a file; None where it has to be read."""
        name = self._names.get(key)
        if name is None:
            return None
        if name != self._name:
            stored = list(blocks_of(self._store, name))
            self._name, self._files = name, {file.key: file for block in stored for file in block.files}
            self._columns = {
                column: np.concatenate([getattr(block, column) for block in stored])
                for column in survey_columns([], True, False)
            }
        file = self._files.get(key)
        if file is None:
            return None
        return {key: column[file.start : file.end] for key, column in self._columns.items()}, file.tally


class BlockWriter:
    """Surveys documents file by file and stores them block by block."""

    def __init__(self, plan: Plan, part: Part, block_documents: int) -> None:
        self._store, self._block_documents = plan.store, block_documents
        self._finds_near_duplicates, self._is_builtin = plan.drops_duplicates(part), not part.files
        self._survey = part.survey
        self._number, self.documents_read, self.is_complete = 0, 0, False
        self.finished: set[str] = set()  # keys of the files whose last document is stored
        self._stored_of_file = Tally()  # what the stored blocks count of the file they end in
        self._file_start = 0
        for block in blocks(self._store, part):
            self._number += 1
            self.documents_read += len(block.texts)
            self.is_complete = block.is_last
            self._stored_of_file.add(block.tally)
            for file in block.files:
                self.finished.add(file.key)
                self._stored_of_file = difference(self._stored_of_file, file.tally)
                self._file_start = file.end
        self._skip = self.documents_read - self._file_start  # documents of the next file that are stored
        self.tally = Tally()  # of the file that is being read; of builtin text, of all of it
        self._block_tally = Tally()  # of the files that ended in this block
        self._base = 0  # documents before the first one of the survey that is written
        self._is_partial = self._has_news = False  # a file is left out; some file was read
        self._files: list[FileSurvey] = []
        self._columns: list[Columns] = []
        self._batch: list[Document] = []
        self._documents = self._characters = self._batch_characters = 0

    def read(self, part: Part, advance: Advance) -> None:
        """Read a part that is one file. Raises BadInput for one that cannot be read."""
        self.tally, self._has_news, reported = Tally(), True, 0
        with closing(generator(part_documents(part, self.tally))) as stream:
            for _ in itertools.islice(stream, self._skip):
                pass
            self._skip = 0
            for batch in batches(stream):
                self.add(batch)
                advance(self.tally.bytes_read - reported)
                reported = self.tally.bytes_read
        advance(self.tally.bytes_read - reported)

    def take(self, columns: Columns, tally: Tally) -> None:
        """Take what is known of a file instead of reading it."""
        self._flush()
        rest = {key: column[self._skip :] for key, column in columns.items()}
        self.tally, self._skip = tally, 0
        self._columns.append(rest)
        self._count(len(rest["texts"]), int(rest["characters"].sum()))

    def add(self, batch: list[Document]) -> None:
        """Take documents; small files are surveyed together."""
        characters = sum(len(document.text) for document in batch)
        self._batch += batch
        self._batch_characters += characters
        if self._batch_characters >= BATCH_CHARACTERS or len(self._batch) >= BATCH_DOCUMENTS:
            self._flush()
        self._count(len(batch), characters)

    def finish_file(self, key: str) -> None:
        """The last document of a file has been taken."""
        self._files.append(FileSurvey(key, self._file_start - self._base, self.documents_read - self._base, self.tally))
        self._block_tally.add(difference(self.tally, self._stored_of_file))
        self._file_start, self.tally, self._stored_of_file = self.documents_read, Tally(), Tally()

    def leave_out_file(self) -> bool:
        """Drop what was taken of a file, so that the next can follow; False where a block of it is stored.

        From here on blocks are stored apart, for a later plan: the part has no survey without the file.
        """
        count = self.documents_read - self._file_start
        if count > self._documents or self._skip:
            return False
        self._flush()
        self.documents_read, self.tally, self._documents = self._file_start, Tally(), self._documents - count
        while count:
            last = self._columns.pop()
            size = len(last["texts"])
            if size > count:
                self._columns.append({key: column[: size - count] for key, column in last.items()})
            count -= min(size, count)
        if not self._is_partial:
            self._is_partial, self._base = True, self.documents_read - self._documents
            self._survey, self._number = f"{self._survey}-{os.urandom(4).hex()}", 0
            moved = (replace(file, start=file.start - self._base, end=file.end - self._base) for file in self._files)
            self._files = [file for file in moved if file.start >= 0]
        return True

    def keep(self) -> None:
        """Store the files that were read where others of the part could not be: a later plan finds them."""
        if self._is_partial and self._files and self._has_news:
            self._store_block(is_last=False)

    def close(self) -> None:
        self._store_block(is_last=True)

    @staticmethod
    def size_of(path: Path) -> int:
        return path.stat().st_size if path.is_file() else 0

    def _count(self, documents: int, characters: int) -> None:
        self.documents_read += documents
        self._documents += documents
        self._characters += characters
        if self._characters >= BLOCK_CHARACTERS or self._documents >= self._block_documents:
            self._store_block(is_last=False)

    def _flush(self) -> None:
        """Survey the documents that wait."""
        if self._batch:
            self._columns.append(survey_columns(self._batch, self._finds_near_duplicates, self._is_builtin))
        self._batch, self._batch_characters = [], 0

    def _store_block(self, *, is_last: bool) -> None:
        self._flush()
        parts = self._columns or [survey_columns([], self._finds_near_duplicates, self._is_builtin)]
        columns = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        self._block_tally.add(difference(self.tally, self._stored_of_file))
        self._stored_of_file = Tally(**asdict(self.tally))
        write_block(self._store, self._survey, self._number, columns, self._block_tally, self._files, is_last=is_last)
        self._number += 1
        self._block_tally, self._files, self._columns = Tally(), [], []
        self._documents = self._characters = 0


def unchanged_documents(store: Store, part: Part, tally: Tally) -> Iterator[Document]:
    """The documents of a surveyed part, read again.

    Raises BadInput where one is not the text that was surveyed: what was decided would be applied to another.
    """
    texts = itertools.chain.from_iterable(block.texts.tolist() for block in blocks(store, part))
    for document, text in itertools.zip_longest(part_documents(part, tally), texts):
        if document is None or text is None or text_hash(document.text) != text:
            raise BadInput(
                f"source '{part.source}': {part.files[0] if part.files else 'builtin text'} or what is read with it "
                "has changed since it was first read: prepare again into another --out"
            )
        yield document
