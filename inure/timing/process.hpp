#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace inure::timing {

// Runs a program found on PATH, without a shell, in `folder`; its output and errors go to `log`
// (appended, relative to the folder). Returns the exit status, 128 + n where signal n ended it. The
// program is killed when this process ends, however that happens; what the program starts is not.
// Throws Error that names the program and `package`, which holds it, where it is missing.
int run_program(const std::vector<std::string>& command, const std::filesystem::path& folder,
                const std::string& log, const std::string& package);

bool has_program(const std::string& name);  // on PATH
// Throws Error that names the package where there is none.
void check_program(const std::string& name, const std::string& package);

}  // namespace inure::timing
