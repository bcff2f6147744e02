"""The machine that everything else was measured on, by its one item, the device; see `bench.gpu.items`."""

from bench.gpu.items import print_items
from bench.machine import describe

if __name__ == "__main__":
    print_items(lambda item, _: describe(item))
