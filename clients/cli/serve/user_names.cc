#include "clients/cli/serve/user_names.h"

#include <grp.h>
#include <pwd.h>

#include <charconv>
#include <cstdint>

#include "fmt/format.h"

namespace fifobus::cli {
namespace {

absl::Status AddUser(const std::string& name, Principals& principals) {
  if (const passwd* user = getpwnam(name.c_str())) {
    principals.uids.push_back(user->pw_uid);
    return absl::OkStatus();
  }
  uint32_t uid = 0;
  const char* const end = name.data() + name.size();
  const auto parsed = std::from_chars(name.data(), end, uid);
  if (parsed.ec != std::errc() || parsed.ptr != end) {
    return absl::NotFoundError(
        fmt::format("there is no user \"{}\" (a group is \"@NAME\")", name));
  }
  principals.uids.push_back(uid);
  return absl::OkStatus();
}

// A group lists only those whose first group it is not.
absl::Status AddGroup(const std::string& name, Principals& principals) {
  const group* found = getgrnam(name.c_str());
  if (found == nullptr) {
    return absl::NotFoundError(fmt::format("there is no group \"{}\"", name));
  }
  const gid_t gid = found->gr_gid;
  for (char** member = found->gr_mem; *member != nullptr; ++member) {
    if (const passwd* user = getpwnam(*member)) {
      principals.uids.push_back(user->pw_uid);
    }
  }
  setpwent();
  while (const passwd* user = getpwent()) {
    if (user->pw_gid == gid) principals.uids.push_back(user->pw_uid);
  }
  endpwent();
  return absl::OkStatus();
}

}  // namespace

absl::Status AddPrincipals(const std::string& name, Principals& principals) {
  if (name == "*") {
    principals.everyone = true;
    return absl::OkStatus();
  }
  return name.starts_with('@') ? AddGroup(name.substr(1), principals)
                               : AddUser(name, principals);
}

}  // namespace fifobus::cli
