"""Options of the compiler."""

# For what runs once for each process, or waits for people: at -O2 it takes longer to
# compile, and nobody would notice.
COLD = select({
    "//clients/cli:opt": ["-O1"],
    "//conditions:default": [],
})
