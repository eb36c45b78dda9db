"""The memory model of Windows kernels: structures by version, page tables, dump files, and symbol tables of them."""
