/** The socket.io transport, client and server together, through the suite that every transport runs. */
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connectSocket } from '../../client/node/connect.ts';
import type { Connection } from '../../protocol/transport.ts';
import { socketListener } from '../../server/socket-io.ts';
import { transportContract } from './transport.ts';

transportContract('socket.io', async () => {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const listener = socketListener(server, { loopbackOnly: true, origins: [] });
  const accepted = new Promise<Connection>((resolve) => listener.onConnection(resolve));
  const near = await connectSocket(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  const far = await accepted;
  far.signedIn?.();
  return {
    near,
    far,
    dispose: async () => {
      near.close();
      await listener.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
});
