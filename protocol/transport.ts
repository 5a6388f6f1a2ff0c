/**
 * What a transport owes the protocol: whole frames, in order, both ways, and word of the end.
 * Two exist: socket.io and the in-memory pair of tests and simulations; both pass one contract suite.
 */

/** One side of a connection. A frame is a header length (u32le), a msgpack header and at most one body, in one byte array. */
export interface Connection {
  /** For logs: an address or a name, never a secret. */
  readonly remote: string;
  readonly closed: boolean;
  /**
   * Resolves when the transport can take more (backpressure). Rejects with `net/closed` once the connection has ended.
   * The frame is the connection's from then on, which may send it later: nobody writes to it any more.
   */
  send(frame: Uint8Array): Promise<void>;
  /** Exactly one receiver; frames that come before it is set are kept. */
  onFrame(receive: (frame: Uint8Array) => void): void;
  /** Any number of listeners, each called once, after the last frame; `reason` is for logs. Called at once if the connection has ended already. */
  onClose(ended: (reason: string) => void): void;
  close(reason?: string): void;
  /** On the coordinator's side: lifts the transport's own cap on what a peer may send before it has signed in, if it has one. */
  signedIn?(): void;
}

/** Where connections come in. */
export interface Listener {
  onConnection(accept: (connection: Connection) => void): void;
  close(): Promise<void>;
}

/** Limits of SPEC.md §3, in bytes; they hold in every transport. */
export const LIMITS = {
  headerBytes: 64 * 1024,
  bodyBytes: 1024 * 1024,
  /** A frame: length prefix, header and body. */
  frameBytes: 4 + 64 * 1024 + 1024 * 1024,
  /** Bytes that a peer may send before it has signed in. */
  bytesBeforeSignIn: 64 * 1024,
  chunkBytes: 256 * 1024,
  /** Chunks that may be under way without an acknowledgement. */
  window: 4,
  planBytes: 256 * 1024,
  blobBytes: 1024 * 1024 * 1024,
} as const;
