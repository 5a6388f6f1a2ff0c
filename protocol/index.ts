/** `tacit/protocol`: what is needed to speak protocol v1 from another program, or over another transport. */
export { type BlobShelf, createBlobShelf } from './blob-shelf.ts';
export { fromBase64Url, fromHex, toBase64Url, toHex } from './bytes.ts';
export { canon, decodeCanon } from './canon.ts';
export { type Certificate, issueCertificate, verifyCertificate } from './certificate.ts';
export { type Decoded, decodeClientFrame, decodeServerFrame, encodeFrame } from './codec.ts';
export type { CryptoProvider, KeyPair } from './crypto/provider.ts';
export { createWebCrypto, webCrypto } from './crypto/web.ts';
export { ERRORS, type ErrorCode, EXIT, TacitError } from './errors.ts';
export { addWords, checkReport, decodeSum, encodeReport, scaleOf } from './fixed-point.ts';
export { dimensionOf, flatten, unflatten } from './flatten.ts';
export {
  aggregatorStatement,
  authStatement,
  commitStatement,
  exchangeStatement,
  fingerprintOf,
  finishedStatement,
  GENESIS_HEAD,
  type Handshake,
  headAfter,
  type Identity,
  identityFromSeed,
  offerHashOf,
  offerStatement,
  participantId,
  planStatement,
  uploadStatement,
  verifyStatement,
  welcomeStatement,
} from './identity.ts';
export type { Fingerprint, HashHex, ParticipantId, TaskId } from './ids.ts';
export { type MemoryListener, memoryListener, memoryPair } from './memory-transport.ts';
export {
  type BlobRef,
  type Capabilities,
  type ClientMessage,
  type CommitRecord,
  type ExchangeStart,
  type Offer,
  PROTOCOL_VERSION,
  type ServerMessage,
} from './messages.ts';
export { type CoordinatorPeer, coordinatorPeer, type ParticipantPeer, participantPeer } from './peer.ts';
export { type Plan, parsePlan } from './plan.ts';
export { SUITES, type SuiteName } from './plan-privacy.ts';
export { buildReport, type OpenedSum, openSum, REPORT_STEPS } from './report.ts';
export { assertFinite, checkAgainst, decodeSafetensors, encodeSafetensors } from './safetensors.ts';
export type { SealContext, SealingSuite } from './sealing/suite.ts';
export { chooseSuite, suiteNamed, suites } from './sealing/suites.ts';
export type {
  CertificateCheck,
  ParticipantOptions,
  ParticipantSession,
  SessionTerms,
} from './secagg/contracts.ts';
export { openSession } from './secagg/participant.ts';
export { startHashOf } from './secagg/statements.ts';
export { type Exchange, exchangesOf, type ReportShape, type Section, wordsOf } from './sections.ts';
export type { DType, NamedArrays, NamedSpecs, NDArray, TensorSpec } from './tensors.ts';
export { pullBlob, pushReport } from './transfer.ts';
export { type Connection, LIMITS, type Listener } from './transport.ts';
export { createUploadDesk, type ReceivedReport, type UploadDesk } from './upload-desk.ts';
