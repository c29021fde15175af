#include "inure/timing/process.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <string_view>

#include "inure/base/error.hpp"

namespace inure::timing {
namespace {

// What the child does between fork and exec: only what is safe there in a program with threads. An
// error comes back through the pipe, which a successful exec closes.
[[noreturn]] void become(char* const* arguments, const char* folder, const char* log, pid_t parent,
                         int failed) {
  const auto give_up = [&] {
    const int error = errno;
    [[maybe_unused]] const ssize_t written = write(failed, &error, sizeof error);
    _exit(127);
  };
  // The signal comes when the thread that forked ends. This thread waits for the child: only with
  // the whole process does it end before. A parent that was gone already sends none.
  if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0) give_up();
  if (getppid() != parent) _exit(127);
  if (chdir(folder) != 0) give_up();
  const int in = open("/dev/null", O_RDONLY);
  const int out = open(log, O_WRONLY | O_CREAT | O_APPEND, 0644);
  if (in < 0 || out < 0) give_up();
  if (dup2(in, 0) < 0 || dup2(out, 1) < 0 || dup2(out, 2) < 0) give_up();
  signal(SIGPIPE, SIG_DFL);  // an ignored signal would stay ignored
  execvp(arguments[0], arguments);
  give_up();
  _exit(127);
}

// The error that `become` sends; 0 where the program has begun.
int read_error(int pipe) {
  int error = 0;
  ssize_t bytes;
  while ((bytes = read(pipe, &error, sizeof error)) < 0 && errno == EINTR) {
  }
  return bytes == sizeof error ? error : 0;
}

int wait_for(pid_t child, const std::string& name) {
  int status = 0;
  while (waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) fail("{}: lost: {}", name, strerror(errno));
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

}  // namespace

int run_program(const std::vector<std::string>& command, const std::filesystem::path& folder,
                const std::string& log, const std::string& package) {
  std::vector<char*> arguments;
  for (const std::string& word : command) arguments.push_back(const_cast<char*>(word.c_str()));
  arguments.push_back(nullptr);
  const auto cannot = [&](int error) {
    if (error == ENOENT) check_program(command[0], package);
    fail("{}: cannot be started in {}: {}", command[0], folder.string(), strerror(error));
  };
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) cannot(errno);
  const pid_t parent = getpid();
  const pid_t child = fork();
  if (child == 0) become(arguments.data(), folder.c_str(), log.c_str(), parent, ends[1]);
  const int forked = errno;
  close(ends[1]);
  const int error = child < 0 ? forked : read_error(ends[0]);
  close(ends[0]);
  if (child < 0) cannot(error);
  const int status = wait_for(child, command[0]);
  if (error) cannot(error);
  return status;
}

void check_program(const std::string& name, const std::string& package) {
  if (!has_program(name)) fail("{}: program not found; install the package {}", name, package);
}

bool has_program(const std::string& name) {
  const char* path = std::getenv("PATH");
  std::string_view rest = path ? path : "/usr/bin:/bin";
  while (true) {
    const std::size_t end = rest.find(':');
    const std::filesystem::path candidate = std::filesystem::path(rest.substr(0, end)) / name;
    if (access(candidate.c_str(), X_OK) == 0) return true;
    if (end == std::string_view::npos) return false;
    rest.remove_prefix(end + 1);
  }
}

}  // namespace inure::timing
