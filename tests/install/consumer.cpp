#include <inure/base/random.hpp>
#include <inure/caffe/files.hpp>
#include <iostream>

int main() {
  const auto net =
      inure::caffe::parse_net("name: 'small' layer { name: 'in' type: 'Input' }", "net");
  std::cout << net.name() << " " << net.layer_size() << " "
            << inure::RandomStream(1, inure::RandomPurpose::kFiller, 0, 0).uniform() << "\n";
  return net.layer_size() == 1 ? 0 : 1;
}
