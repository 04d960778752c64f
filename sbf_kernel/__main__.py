"""``python -m sbf_kernel`` is ``sbf``."""

from sbf_kernel.cli import main

raise SystemExit(main())
