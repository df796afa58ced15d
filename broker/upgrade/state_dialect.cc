#include "broker/upgrade/state_dialect.h"

namespace fifobus {

__attribute__((weak)) StateDialect DialectOfThisProgram() { return {}; }

}  // namespace fifobus
