"""Count the needles that general and special libraries find: the measurement behind docs/adr/0003-readers.md.

    python benchmarks/readers/rivals.py FOLDER [LIBRARY …]

Run it with a Python that has the libraries; one that is missing is skipped.
Each file is read in a process of its own (60 s, no other limit).
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))
from needles import NEEDLES, load_needles, peak_mb, seen  # type: ignore[import-not-found, unused-ignore]

PDF, DOCX, PPTX, XLSX, HTML = ("pdf",), ("docx",), ("pptx",), ("xlsx",), ("html", "htm")
OFFICE = DOCX + PPTX + XLSX
TEXT = ("csv", "txt", "md", "srt", "vtt", "ipynb", "eml", "rtf", "xml", "tex", "epub")

READ = {
    "kreuzberg": "import kreuzberg; print(kreuzberg.extract_file_sync(PATH).content)",
    "markitdown": "import markitdown; print(markitdown.MarkItDown().convert(PATH).text_content)",
    "pypdfium2": "import pypdfium2; print('\\n'.join(p.get_textpage().get_text_range() for p in pypdfium2.PdfDocument(PATH)))",
    "pypdf": "import pypdf; print('\\n'.join(p.extract_text() for p in pypdf.PdfReader(PATH).pages))",
    "pdfminer": "from pdfminer.high_level import extract_text; print(extract_text(PATH))",
    "pdfplumber": "import pdfplumber; print('\\n'.join(p.extract_text() or '' for p in pdfplumber.open(PATH).pages))",
    "pdf_oxide": "import pdf_oxide; d = pdf_oxide.PdfDocument(PATH); print('\\n'.join(d.extract_text(n) for n in range(d.page_count())))",
    "docx": "import docx; print('\\n'.join(p.text for p in docx.Document(PATH).paragraphs))",
    "docx2python": "from docx2python import docx2python; print(docx2python(PATH).text)",
    "pptx": "import pptx; print('\\n'.join(s.text_frame.text for p in pptx.Presentation(PATH).slides for s in p.shapes if s.has_text_frame))",
    "openpyxl": "import openpyxl; print('\\n'.join(' '.join(str(v) for v in r if v is not None) for s in openpyxl.load_workbook(PATH, read_only=True, data_only=True) for r in s.iter_rows(values_only=True)))",
    "python_calamine": "import python_calamine as c; b = c.CalamineWorkbook.from_path(PATH); print('\\n'.join(' '.join(map(str, r)) for s in b.sheet_names for r in b.get_sheet_by_name(s).to_python()))",
    "trafilatura": "import trafilatura; print(trafilatura.extract(open(PATH, 'rb').read(), favor_recall=True) or '')",
}  # fmt: skip
TAKES = {
    "kreuzberg": PDF + OFFICE + HTML + TEXT, "markitdown": PDF + OFFICE + HTML + TEXT, "pypdfium2": PDF, "pypdf": PDF,
    "pdfminer": PDF, "pdfplumber": PDF, "pdf_oxide": PDF, "docx": DOCX, "docx2python": DOCX, "pptx": PPTX,
    "openpyxl": XLSX, "python_calamine": XLSX, "trafilatura": HTML,
}  # fmt: skip
TAIL = "\nimport re, sys\nprint(re.search(r'VmHWM:\\s+(\\d+)', open('/proc/self/status').read())[1], file=sys.stderr)"


def main(folder: Path, libraries: list[str]) -> None:
    """Print one table row per library: needles found, failures, time, memory."""
    checks = load_needles(NEEDLES)
    print("| library | files | needles | failed | seconds | peak MB |\n| --- | ---: | ---: | ---: | ---: | ---: |")
    for library in libraries or [name for name in READ if find_spec(name)]:
        found = count = failed = files = 0
        seconds, memory = 0.0, 0.0
        for file, wanted in checks.items():
            needles = [value for check, value in wanted if check.startswith("text")]
            if file.rsplit(".", 1)[-1] not in TAKES[library] or not needles or any(c == "password" for c, _ in wanted):
                continue
            text, spent, peak = run(library, folder / file)
            files, failed = files + 1, failed + (text is None)
            found, count = found + sum(seen(needle) in seen(text or "") for needle in needles), count + len(needles)
            seconds, memory = seconds + spent, max(memory, peak)
        print(
            f"| {library} | {files} | {found}/{count} ({found / max(count, 1):.0%}) | {failed} | {seconds:.0f} | {memory:.0f} |"
        )


def run(library: str, path: Path) -> tuple[str | None, float, float]:
    """Return text, seconds and megabytes of one file; no text when the library failed."""
    code = f"PATH = {json.dumps(str(path))}\n{READ[library]}{TAIL}"
    start = time.monotonic()
    try:
        done = subprocess.run(
            [sys.executable, "-W", "ignore", "-c", code], capture_output=True, timeout=60, check=False
        )
    except subprocess.TimeoutExpired:
        return None, 60.0, 0.0
    last = done.stderr.decode("utf-8", "replace").strip().rsplit("\n", 1)[-1]
    peak = int(last) / 1024 if last.isdigit() else peak_mb()
    text = done.stdout.decode("utf-8", "replace") if done.returncode == 0 else None
    return text, time.monotonic() - start, peak


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
