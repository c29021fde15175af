#include "inure/timing/design.hpp"

#include <algorithm>
#include <cctype>
#include <set>
#include <string_view>

#include "inure/base/error.hpp"
#include "inure/base/file.hpp"

namespace inure::timing {
namespace {

namespace fs = std::filesystem;

void check_identifier(std::string_view name, std::string_view what) {
  const auto fits = [](unsigned char c) { return std::isalnum(c) || c == '_'; };
  if (name.empty() || std::isdigit(static_cast<unsigned char>(name[0])) ||
      !std::all_of(name.begin(), name.end(), fits)) {
    fail("design: {} '{}' is not a plain Verilog identifier", what, name);
  }
}

std::string lower_ending(const fs::path& path) {
  std::string ending = path.extension().string();
  for (char& c : ending) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return ending;
}

bool is_vhdl(const fs::path& path) {
  return lower_ending(path) == ".vhd" || lower_ending(path) == ".vhdl";
}

// A name in the tools' folder: words and dots only, since it becomes part of a yosys script.
void check_file_name(const fs::path& path, const std::string& name) {
  const auto fits = [](unsigned char c) {
    return std::isalnum(c) || c == '_' || c == '.' || c == '/' || (c == '-');
  };
  if (!std::all_of(name.begin(), name.end(), fits) || name[0] == '-' || name[0] == '/' ||
      name.find("..") != std::string::npos) {
    fail(
        "{}: a name of letters, digits, '_', '-' and '.' is expected, below a folder of -I or of "
        "the file that includes it",
        path.string());
  }
}

// What the text includes or fills memories with, as it is written there.
std::vector<std::string> included_names(std::string_view text) {
  std::vector<std::string> names;
  std::string_view rest;
  const auto take = [&](std::string_view word) {
    const bool there = rest.starts_with(word);
    if (!there) return false;
    rest.remove_prefix(word.size());
    rest.remove_prefix(std::min(rest.size(), rest.find_first_not_of(" \t\r\n\f\v")));
    return true;
  };
  for (std::size_t at = 0; (at = text.find_first_of("`$", at)) != text.npos; ++at) {
    rest = text.substr(at);
    const bool begins = take("`include") || ((take("$readmemh") || take("$readmemb")) && take("("));
    if (!begins || !rest.starts_with('"')) continue;
    const std::string_view name = rest.substr(1, rest.find_first_of("\"\n", 1) - 1);
    if (!name.empty() && rest.substr(1 + name.size()).starts_with('"')) names.emplace_back(name);
  }
  return names;
}

// Whether the text has one of these words, as a whole one.
bool has_word(std::string_view text, const std::set<std::string_view>& words) {
  const auto belongs = [](char c) {
    return std::isalnum(static_cast<unsigned char>(c)) || c == '_';
  };
  for (auto at = text.begin(); at != text.end();) {
    const auto end = std::find_if_not(at, text.end(), belongs);
    if (words.contains(std::string_view(at, end))) return true;
    at = std::find_if(end, text.end(), belongs);
  }
  return false;
}

class Reader {
 public:
  explicit Reader(const Design& design) : design_(design) {}

  Sources read() {
    if (design_.files.empty()) fail("design: no file");
    sources_.vhdl = is_vhdl(design_.files.front());
    for (const fs::path& path : design_.files) {
      if (is_vhdl(path) != sources_.vhdl) {
        fail("{}: VHDL and Verilog in one design; expected one language", path.string());
      }
      std::string name = path.filename().string();
      // One file has one name, wherever it comes from: names of nets hold it.
      if (design_.files.size() == 1) {
        name = sources_.vhdl                 ? "design.vhd"
               : lower_ending(path) == ".sv" ? "design.sv"
                                             : "design.v";
      }
      check_file_name(path, name);
      if (!names_.insert(name).second) {
        fail("{}: a second file of the name {}; expected different names", path.string(), name);
      }
      sources_.files.push_back({name, read_file(path), path});
    }
    if (!sources_.vhdl) {
      for (std::size_t i = 0; i < sources_.files.size(); ++i) include_of(sources_.files[i]);
    }
    return std::move(sources_);
  }

 private:
  // What is not found is left to the tool, which names the line.
  void include_of(const Sources::File file) {
    for (const std::string& name : included_names(file.text)) {
      if (names_.contains(name)) continue;
      std::vector<fs::path> folders = {file.path.parent_path()};
      folders.insert(folders.end(), design_.includes.begin(), design_.includes.end());
      const auto found = std::find_if(folders.begin(), folders.end(), [&](const fs::path& folder) {
        return fs::is_regular_file(folder / name);
      });
      if (found == folders.end()) continue;
      check_file_name(*found / name, name);
      names_.insert(name);
      sources_.included.push_back({name, read_file(*found / name), *found / name});
      include_of(sources_.included.back());
    }
  }

  const Design& design_;
  Sources sources_;
  std::set<std::string> names_;
};

bool has_tables(const Sources& sources) {
  const auto in = [](const Sources::File& file) {
    return has_word(file.text, {"case", "casex", "casez", "initial", "readmemh", "readmemb"});
  };
  return sources.vhdl || std::any_of(sources.files.begin(), sources.files.end(), in) ||
         std::any_of(sources.included.begin(), sources.included.end(), in);
}

}  // namespace

std::string Design::name() const { return files.empty() ? "" : files.front().string(); }

Sources read_sources(const Design& design) {
  check_identifier(design.top, "the top module");
  for (const auto& [name, value] : design.parameters) check_identifier(name, "the parameter");
  for (const auto& [name, value] : design.ties) check_identifier(name, "the port");
  return Reader(design).read();
}

std::string Sources::everything() const {
  std::string text;
  for (const auto* list : {&files, &included}) {
    for (const File& file : *list) {
      // A single file is told from others by what it holds alone.
      if (files.size() + included.size() > 1) text += file.name + '\0';
      text += file.text;
    }
  }
  return text;
}

std::string yosys_reading(const Design& design, const Sources& sources) {
  std::string script;
  if (sources.vhdl) {
    script = fmt::format("read_verilog {}; ", kFromVhdl);
  } else {
    for (const Sources::File& file : sources.files) {
      const bool system_verilog = lower_ending(file.name) == ".sv";
      script += fmt::format("read_verilog {}{}; ", system_verilog ? "-sv " : "", file.name);
    }
    for (const auto& [name, value] : design.parameters) {
      script += fmt::format("chparam -set {} {} {}; ", name, value, design.top);
    }
  }
  // Tables become logic: as memories they would take the registers around them along.
  const bool tables = has_tables(sources);
  if (tables || !design.ties.empty()) {
    script += fmt::format("hierarchy -top {}; proc{}; ", design.top, tables ? " -norom" : "");
  }
  if (tables) script += "opt -nodffe -nosdff; memory -nordff; ";
  for (const auto& [port, value] : design.ties) {
    script += fmt::format(
        "select -assert-count 1 {0}/i:{1}; delete -port {0}/i:{1}; cd {0}; "
        "connect -nounset -set {1} {2}; cd; ",
        design.top, port, value);
  }
  return script;
}

std::vector<std::string> ghdl_command(const Design& design, const Sources& sources) {
  std::vector<std::string> command = {"ghdl", "--synth", "--std=08", "--out=verilog"};
  for (const auto& [name, value] : design.parameters) {
    command.push_back(fmt::format("-g{}={}", name, value));
  }
  for (const Sources::File& file : sources.files) command.push_back(file.name);
  command.insert(command.end(), {"-e", design.top});
  return command;
}

std::string yosys_elaboration(const Design& design, const Sources& sources,
                              const std::string& json) {
  return yosys_reading(design, sources) +
         fmt::format("hierarchy -top {}; proc; flatten; opt -nodffe -nosdff; write_json {}",
                     design.top, json);
}

}  // namespace inure::timing
