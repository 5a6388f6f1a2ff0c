/** Counts what goes through connections, frame by frame, for people who pay for their bytes. */
import type { Connection } from '../protocol/transport.ts';

/** Bytes of frames sent and received since the participant started, over all its connections. */
export interface Traffic {
  up: number;
  down: number;
}

/** The same connection, with each frame added to `traffic`. */
export function counted(connection: Connection, traffic: Traffic): Connection {
  return {
    get remote() {
      return connection.remote;
    },
    get closed() {
      return connection.closed;
    },
    async send(frame) {
      await connection.send(frame);
      traffic.up += frame.length;
    },
    onFrame(receive) {
      connection.onFrame((frame) => {
        traffic.down += frame.length;
        receive(frame);
      });
    },
    onClose: (ended) => connection.onClose(ended),
    close: (reason) => connection.close(reason),
  };
}
