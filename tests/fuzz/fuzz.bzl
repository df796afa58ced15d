"""Targets for libFuzzer."""

def fuzz_target(name, deps, corpus = None, data = [], tags = ["single_threaded"]):
    """A file NAME.cc with LLVMFuzzerTestOneInput.

    NAME_fuzz is for tools/fuzz, and NAME_test runs the corpus in the suite.
    """
    folder = "corpus/" + (corpus or name)
    inputs = native.glob([folder + "/*"])
    deps = deps + [":input"]
    native.cc_test(
        name = name + "_test",
        srcs = [name + ".cc"],
        args = ["tests/fuzz/" + folder],
        data = inputs + data,
        tags = tags,
        deps = deps + [":replay_main"],
    )
    native.cc_binary(
        name = name + "_fuzz",
        testonly = True,
        srcs = [name + ".cc"],
        data = data,
        linkopts = ["-fsanitize=fuzzer"],
        tags = ["manual"],
        deps = deps,
    )
