#ifndef FIFOBUS_BROKER_IO_DESCRIPTOR_RESERVE_H_
#define FIFOBUS_BROKER_IO_DESCRIPTOR_RESERVE_H_

#include <vector>

#include "broker/base/unique_fd.h"

namespace fifobus {

// Descriptors that are held only to be given up when the process has run out of
// them. Then a directory can still be read, and a client be told why it is
// refused. Thread-compatible.
class DescriptorReserve {
 public:
  explicit DescriptorReserve(int count) : count_(count) { Refill(); }

  // While this object lives, the reserve's descriptors are free for use.
  class Loan {
   public:
    explicit Loan(DescriptorReserve& reserve) : reserve_(reserve) {
      reserve_.held_.clear();
    }
    ~Loan() { reserve_.Refill(); }
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;

   private:
    DescriptorReserve& reserve_;
  };

 private:
  // Takes as many as there are: the next loan may find fewer.
  void Refill();

  const int count_;
  std::vector<UniqueFd> held_;
};

}  // namespace fifobus

#endif  // FIFOBUS_BROKER_IO_DESCRIPTOR_RESERVE_H_
