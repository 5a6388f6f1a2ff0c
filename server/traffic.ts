/** Counts the bytes of frames on a connection, in both directions. */
import type { Connection } from '../protocol/transport.ts';

export interface Traffic {
  up: number;
  down: number;
}

/** The same connection; every frame is added to `total`, and `onUp` is told the length of each that comes in, before it is read. */
export function metered(connection: Connection, total: Traffic, onUp: (bytes: number) => void): Connection {
  return {
    ...connection,
    get closed() {
      return connection.closed;
    },
    send(frame) {
      total.down += frame.length;
      return connection.send(frame);
    },
    onFrame: (receive) =>
      connection.onFrame((frame) => {
        total.up += frame.length;
        onUp(frame.length);
        receive(frame);
      }),
  };
}
