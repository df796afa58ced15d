#ifndef FIFOBUS_CLIENTS_CLI_BRIDGE_NATS_LIBRARY_H_
#define FIFOBUS_CLIENTS_CLI_BRIDGE_NATS_LIBRARY_H_

#include "absl/status/statusor.h"
#include "clients/cli/bridge/nats_message.h"
#include "nats/nats.h"

// The functions of libnats that the bridge calls. The library is loaded when a
// bridge begins and not linked: with it come OpenSSL and some milliseconds, which
// the other commands would pay for at each start.
namespace fifobus::bridge {

#define FIFOBUS_NATS_FUNCTIONS(FUNCTION)            \
  FUNCTION(nats_GetLastError)                       \
  FUNCTION(natsStatus_GetText)                      \
  FUNCTION(natsOptions_Create)                      \
  FUNCTION(natsOptions_Destroy)                     \
  FUNCTION(natsOptions_LoadCATrustedCertificates)   \
  FUNCTION(natsOptions_LoadCertificatesChain)       \
  FUNCTION(natsOptions_SetAllowReconnect)           \
  FUNCTION(natsOptions_SetClosedCB)                 \
  FUNCTION(natsOptions_SetErrorHandler)             \
  FUNCTION(natsOptions_SetExpectedHostname)         \
  FUNCTION(natsOptions_SetMaxPingsOut)              \
  FUNCTION(natsOptions_SetName)                     \
  FUNCTION(natsOptions_SetNKeyFromSeed)             \
  FUNCTION(natsOptions_SetNoEcho)                   \
  FUNCTION(natsOptions_SetPingInterval)             \
  FUNCTION(natsOptions_SetSecure)                   \
  FUNCTION(natsOptions_SetServers)                  \
  FUNCTION(natsOptions_SetTimeout)                  \
  FUNCTION(natsOptions_SetToken)                    \
  FUNCTION(natsOptions_SetUserCredentialsFromFiles) \
  FUNCTION(natsOptions_SetUserInfo)                 \
  FUNCTION(natsOptions_SetWriteDeadline)            \
  FUNCTION(natsConnection_Close)                    \
  FUNCTION(natsConnection_Connect)                  \
  FUNCTION(natsConnection_Destroy)                  \
  FUNCTION(natsConnection_FlushTimeout)             \
  FUNCTION(natsConnection_GetConnectedUrl)          \
  FUNCTION(natsConnection_GetLastError)             \
  FUNCTION(natsConnection_GetMaxPayload)            \
  FUNCTION(natsConnection_PublishMsg)               \
  FUNCTION(natsConnection_Subscribe)                \
  FUNCTION(natsMsg_Create)                          \
  FUNCTION(natsMsg_Destroy)                         \
  FUNCTION(natsMsg_GetData)                         \
  FUNCTION(natsMsg_GetDataLength)                   \
  FUNCTION(natsMsg_GetReply)                        \
  FUNCTION(natsMsg_GetSubject)                      \
  FUNCTION(natsMsgHeader_Add)                       \
  FUNCTION(natsMsgHeader_Keys)                      \
  FUNCTION(natsMsgHeader_Values)                    \
  FUNCTION(natsSubscription_Destroy)                \
  FUNCTION(natsSubscription_SetOnCompleteCB)

// Thread-safe: nothing changes after Load.
struct NatsLibrary {
  // Loads it, once a process. NotFound says which package to install.
  static absl::StatusOr<const NatsLibrary*> Load();

  // A message as the maps have it. Destroys libnats's.
  NatsMessage Take(natsMsg* message) const;

#define FIFOBUS_NATS_MEMBER(name) decltype(&::name) name = nullptr;
  FIFOBUS_NATS_FUNCTIONS(FIFOBUS_NATS_MEMBER)
#undef FIFOBUS_NATS_MEMBER
};

}  // namespace fifobus::bridge

#endif  // FIFOBUS_CLIENTS_CLI_BRIDGE_NATS_LIBRARY_H_
