"""Linux x86-64 kernels in images of physical memory: everything that is needed is taken out of the image itself."""
