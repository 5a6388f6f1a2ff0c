// A participant: `node examples/participant.mjs 'http://localhost:8080/#srv=…' [folder of images]`. The images never leave this machine.
import { joinFromNode, parsePolicy } from 'tacit/client';

const [url, folder] = process.argv.slice(2);
const leave = new AbortController();
process.once('SIGINT', () => leave.abort());

const { ended, rounds, reports } = await joinFromNode({
  url,
  data: folder ? { kind: 'folder', path: folder } : { kind: 'bundled', name: 'digits', split: 'train' },
  policy: parsePolicy({ privacyModes: ['sealed'] }),
  signal: leave.signal,
  onEvent: (event) => {
    if (event.type === 'trained') console.log(`round ${event.round + 1}: my loss ${event.loss.toFixed(3)}`);
  },
});
console.log(`${ended} after ${rounds} rounds, ${reports} of them with my report`);
