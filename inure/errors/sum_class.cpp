#include "inure/errors/sum_class.hpp"

#include <map>

namespace inure {

std::vector<SumClass> sum_classes(const TimingProfile& profile, int clock) {
  std::vector<std::map<std::int32_t, double>> deltas(kSumClasses);
  std::vector<double> right(kSumClasses, 1);
  for (const RegisterProfile* what :
       {&profile.clock(clock).sum(), &profile.clock(clock).accumulator()}) {
    const auto add = [&](std::uint32_t id, const ErrorClass& error_class) {
      right[id] *= 1 - error_class.rate();
      double counts = 0;
      for (const std::uint32_t count : error_class.count()) counts += count;
      for (int i = 0; i < error_class.delta_size(); ++i) {
        deltas[id][error_class.delta(i)] += error_class.rate() * error_class.count(i) / counts;
      }
    };
    std::map<std::uint32_t, const ErrorClass*> wide;
    for (const ErrorClass& error_class : what->error_class()) {
      if (error_class.id() < kSumClasses) {
        add(error_class.id(), error_class);
      } else {
        wide[error_class.id()] = &error_class;
      }
    }
    for (int i = 0; i + 1 < what->like_size(); i += 2) {
      add(what->like(i), *wide.at(what->like(i + 1)));
    }
  }
  std::vector<SumClass> classes(kSumClasses);
  for (std::size_t i = 0; i < classes.size(); ++i) {
    classes[i].rate = 1 - right[i];
    double all = 0, sum = 0;
    for (const auto& [delta, weight] : deltas[i]) all += weight;
    if (all == 0) continue;
    for (const auto& [delta, weight] : deltas[i]) {
      classes[i].deltas.emplace_back(delta, (sum += weight) / all);
    }
    classes[i].deltas.back().second = 1;
  }
  return classes;
}

}  // namespace inure
