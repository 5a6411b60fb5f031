"""The file that a Flex Template's launcher runs: `pipelines.build_corpus`, wherever that lies."""

import sys

from pipelines.build_corpus import main

if __name__ == "__main__":
    sys.exit(main())
