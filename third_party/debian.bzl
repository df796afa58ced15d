"""Repositories made of what Debian 12 installs under /usr.

Bazel's own C++, Java and proto rules refer to some external repositories by name.
Here each of those names is bound to Debian's copy, so that no build tries a
download.
"""

def _rules_cc_impl(ctx):
    """Debian's rules_cc, made to load in Debian's older Bazel.

    bazel-rules-cc 0.0.4 imports use_cpp_toolchain, which Bazel 4.2.3 lacks; the
    list of the toolchain's type is what it would return.
    """
    for path in ctx.path("/usr/share/bazel/rules/cc").readdir():
        if path.basename not in ["WORKSPACE", "cc"]:
            ctx.symlink(path, path.basename)
    ctx.execute(["cp", "-rL", "/usr/share/bazel/rules/cc/cc", "cc"])
    ctx.file("WORKSPACE", 'workspace(name = "rules_cc")\n')
    for name in ["cc_flags_supplier.bzl", "compiler_flag.bzl"]:
        path = "cc/private/rules_impl/" + name
        text = ctx.read(path)
        text = text.replace(', "use_cpp_toolchain"', "")
        text = text.replace(
            "use_cpp_toolchain()",
            '["@bazel_tools//tools/cpp:toolchain_type"]',
        )
        ctx.file(path, text)

_rules_cc = repository_rule(
    implementation = _rules_cc_impl,
    doc = "Debian's bazel-rules-cc, patched for Bazel 4.",
)

def _coverage_tools_impl(ctx):
    """Every `bazel test` asks for this repository, even without coverage."""
    ctx.file("BUILD", """
filegroup(
    name = "coverage_report_generator",
    visibility = ["//visibility:public"],
)
""")

_coverage_tools = repository_rule(implementation = _coverage_tools_impl)

def debian_repositories():
    """Binds the repositories that Bazel's built-in rules expect."""
    _rules_cc(name = "rules_cc")
    _coverage_tools(name = "remote_coverage_tools")
    native.local_repository(
        name = "rules_java",
        path = "/usr/share/bazel/rules/java",
    )
    native.local_repository(
        name = "rules_proto",
        path = "/usr/share/bazel/rules/proto",
    )
    native.local_repository(
        name = "bazel_skylib",
        path = "/usr/share/bazel/tools/skylib",
    )
    native.local_repository(
        name = "platforms",
        path = "/usr/share/bazel/platforms",
    )
    native.new_local_repository(
        name = "com_google_protobuf",
        path = "/usr",
        build_file = "//third_party:protobuf.BUILD",
    )
