// Writes protocol/vectors/*.json from dist/: byte-exact examples of everything that SPEC.md lays out; and the table of errors in
// SPEC.md. test/spec/ checks both. Bytes are written as {"$hex": "…"}. Run `npm run build` first.
import builtinCrypto, { createHash } from 'node:crypto';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const load = (module) => import(join(root, 'dist', 'protocol', `${module}.js`));
const { asBytes, concat, fromHex, toHex, utf8 } = await load('bytes');
const canonical = await load('canon');
const { certificateStatement, issueCertificate } = await load('certificate');
const { encodeFrame } = await load('codec');
const { nodeCrypto } = await load('crypto/node');
const { ERRORS } = await load('errors');
const { addWords, scaleOf } = await load('fixed-point');
const identities = await load('identity');
const { parsePlan } = await load('plan');
const { buildReport, openSum } = await load('report');
const { encodeSafetensors } = await load('safetensors');
const { suites } = await load('sealing/suites');
const { exchangesOf } = await load('sections');
const { float32, int32 } = await load('tensors');
const secagg = {
  ...(await load('secagg/boxes')),
  ...(await load('secagg/groups')),
  ...(await load('secagg/objects')),
  ...(await load('secagg/participant')),
  ...(await load('secagg/statements')),
};
const { openServerSession } = await import(join(root, 'dist', 'server', 'secagg', 'session.js'));

const fill = (byte, length = 32) => new Uint8Array(length).fill(byte);
/** The plaintext of long examples: byte i is (131·i + ⌊i/256⌋) mod 256. */
const pattern = (length) => Uint8Array.from({ length }, (_, i) => (i * 131 + (i >> 8)) & 0xff);

const toJson = (value) => {
  if (value instanceof Uint8Array) return { $hex: toHex(value) };
  if (ArrayBuffer.isView(value)) return [...value];
  if (Array.isArray(value)) return value.map(toJson);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(Object.entries(value).map(([key, entry]) => [key, toJson(entry)]));
};

function write(name, about, content) {
  const folder = join(root, 'protocol', 'vectors');
  mkdirSync(folder, { recursive: true });
  const text = JSON.stringify({ about, ...toJson(content) }, null, 1);
  // rows of numbers and single values on one line
  const compact = text
    .replace(/\[\s+(-?[\d.e+-]+(?:,\s+-?[\d.e+-]+)*)\s+\]/g, (row) => row.replace(/\s+/g, ' '))
    .replace(/\{\s+("\$hex": "[0-9a-f]*")\s+\}/g, '{ $1 }');
  writeFileSync(join(folder, `${name}.json`), `${compact}\n`);
}

// ------------------------------------------------------------------ canonical bytes

const fields = [
  { kind: 'u8', value: 255 },
  { kind: 'u16', value: 0x1234 },
  { kind: 'u32', value: 0xfffefdfc },
  { kind: 'u64', value: Number.MAX_SAFE_INTEGER },
  { kind: 'f64', value: -0.1 },
  { kind: 'text', value: 'Größe ✓' },
  { kind: 'identifier', value: 'a.b_c:D-9' },
  { kind: 'bool', value: true },
].map((field) => ({ ...field, bytes: canonical[field.kind](field.value) }));

write('canon', 'SPEC.md §4.1: fields, and tuples of fields under a label.', {
  fields,
  tuples: [
    { label: 'empty', fields: [], bytes: canonical.canon('empty') },
    { label: 'one', fields: [fill(7, 3)], bytes: canonical.canon('one', fill(7, 3)) },
    {
      label: 'all',
      fields: [...fields.map(({ bytes }) => bytes), new Uint8Array(0)],
      bytes: canonical.canon('all', ...fields.map(({ bytes }) => bytes), new Uint8Array(0)),
    },
  ],
});

// ------------------------------------------------------------------ identities and statements

const serverSeed = fill(0x51);
const participantSeed = fill(0x52);
const operatorSeed = fill(0x53);
const server = await identities.identityFromSeed(nodeCrypto, serverSeed);
const participant = await identities.identityFromSeed(nodeCrypto, participantSeed);
const operator = await identities.identityFromSeed(nodeCrypto, operatorSeed);

const handshake = {
  versions: [1],
  version: 1,
  clientNonce: fill(0x61),
  serverNonce: fill(0x62),
  serverKey: server.publicKey,
  task: 'digits',
};
const planHash = fill(0x63);
const modelHash = fill(0x64);
const aggregator = await nodeCrypto.x25519KeyPair(fill(0x54));
const offer = {
  v: 1,
  task: 'digits',
  kind: 'train',
  round: 7,
  attempt: 1,
  modelVersion: 7,
  modelHash,
  planHash,
  nonce: fill(0x65),
};
const offerHash = await identities.offerHashOf(nodeCrypto, offer);
const exchange = { offerHash, index: 0, blobs: [{ name: 'model', hash: modelHash, bytes: 123_456 }] };
const upload = { offerHash, exchange: 0, hash: fill(0x66), bytes: 99_999 };
const firstCommit = {
  offerHash,
  round: 7,
  attempt: 1,
  participants: 10,
  aggregateHash: fill(0x67),
  modelHash: fill(0x68),
  prevHead: identities.GENESIS_HEAD,
};
const firstHead = await identities.headAfter(nodeCrypto, firstCommit);
const secondCommit = { ...firstCommit, round: 8, offerHash: fill(0x69), prevHead: firstHead };
const finished = { task: 'digits', planHash, modelHash: fill(0x68), modelBytes: 123_456, rounds: 8 };
const certificate = {
  identity: participant.publicKey,
  tasks: ['digits', 'fashion-mnist'],
  notAfter: 1_900_000_000,
  nonce: fill(0x6a),
};

const statement = async (name, signer, value, bytes) => ({
  name,
  signer,
  value,
  bytes,
  signature: await signers[signer].sign(bytes),
});
const signers = { server, participant, operator };
const statements = [
  await statement('welcome', 'server', handshake, identities.welcomeStatement(handshake)),
  await statement(
    'auth',
    'participant',
    { ...handshake, identity: participant.publicKey },
    identities.authStatement(handshake, participant.publicKey),
  ),
  await statement('plan', 'server', { task: 'digits', planHash }, identities.planStatement('digits', planHash)),
  await statement(
    'aggregator',
    'server',
    { task: 'digits', aggregatorKey: aggregator.publicKey },
    identities.aggregatorStatement('digits', aggregator.publicKey),
  ),
  await statement('offer', 'server', offer, identities.offerStatement(offer)),
  await statement('exchange', 'server', exchange, identities.exchangeStatement(exchange)),
  await statement('upload', 'participant', upload, identities.uploadStatement(upload)),
  await statement('commit', 'server', firstCommit, identities.commitStatement(firstCommit)),
  await statement('commit', 'server', secondCommit, identities.commitStatement(secondCommit)),
  await statement('finished', 'server', finished, identities.finishedStatement(finished)),
  await statement('cert', 'operator', certificate, certificateStatement(certificate)),
];

write('statements', 'SPEC.md §4.2–§4.5: keys of seeds, and every statement with its signature.', {
  keys: [
    { name: 'server', seed: serverSeed, publicKey: server.publicKey, id: server.id },
    { name: 'participant', seed: participantSeed, publicKey: participant.publicKey, id: participant.id },
    { name: 'operator', seed: operatorSeed, publicKey: operator.publicKey, id: operator.id },
  ],
  fingerprint: await identities.fingerprintOf(nodeCrypto, server.publicKey),
  statements,
  offerHash,
  certificate: await issueCertificate(operator.sign, certificate),
  transcript: {
    commits: [firstCommit, secondCommit],
    heads: [firstHead, await identities.headAfter(nodeCrypto, secondCommit)],
  },
});

// ------------------------------------------------------------------ frames

const signatureOf = (name) => statements.find((entry) => entry.name === name).signature;
const toServer = [
  {
    type: 'hello',
    id: 1,
    versions: [1],
    nonce: handshake.clientNonce,
    software: 'vectors/1',
    capabilities: { suites: ['x25519-aes256gcm', 'nacl-box'], engine: 'none', platform: 'other', memoryMb: 512 },
  },
  {
    type: 'identify',
    id: 2,
    identity: participant.publicKey,
    signature: signatureOf('auth'),
    certificate: new Uint8Array(0),
  },
  { type: 'join', id: 3, task: 'digits' },
  { type: 'ask', id: 4, hash: planHash, offset: 0 },
  { type: 'accept', id: 5, offerHash },
  { type: 'decline', id: 6, offerHash, code: 'policy/refused', text: 'the cohort is too small' },
  { type: 'upload', id: 7, offerHash, exchange: 0, suite: 'nacl-box', hash: upload.hash, bytes: upload.bytes },
  [{ type: 'put', id: 8, hash: upload.hash, offset: 0 }, pattern(40)],
  { type: 'commit', id: 70_000, ...upload, signature: signatureOf('upload') },
  [{ type: 'answer', id: 70_002, offerHash, exchange: 0, step: 'advertisement' }, pattern(50)],
  { type: 'history', id: 70_001, from: 7 },
  { type: 'bye', id: 4_294_967_295 },
];
const fromServer = [
  {
    type: 'welcome',
    re: 1,
    version: 1,
    serverKey: server.publicKey,
    nonce: handshake.serverNonce,
    task: 'digits',
    signature: signatureOf('welcome'),
  },
  { type: 'identified', re: 2, admitted: true },
  {
    type: 'joined',
    re: 3,
    planHash,
    planBytes: 2345,
    planSignature: signatureOf('plan'),
    aggregatorKey: aggregator.publicKey,
    aggregatorSignature: signatureOf('aggregator'),
    round: 7,
    head: identities.GENESIS_HEAD,
    finished: false,
  },
  [{ type: 'chunk', re: 4, hash: planHash, offset: 0, bytes: 30 }, pattern(30)],
  { type: 'offer', offer, signature: signatureOf('offer') },
  { type: 'exchange', re: 5, exchange: { ...exchange, signature: signatureOf('exchange') } },
  { type: 'exchange', exchange: { offerHash, index: 1, blobs: [], signature: fill(0x70, 64) } },
  { type: 'ok', re: 6 },
  { type: 'got', re: 7, offset: 0 },
  { type: 'committed', commit: { ...firstCommit, signature: signatureOf('commit') } },
  [{ type: 'stage', offerHash, exchange: 1, step: 'survivors' }, pattern(60)],
  { type: 'records', re: 70_001, records: [{ ...firstCommit, signature: signatureOf('commit') }] },
  { type: 'failed', offerHash, round: 7, attempt: 1, code: 'round/too-few-reports', retryAfterMs: 1000 },
  {
    type: 'finished',
    model: { name: 'model', hash: finished.modelHash, bytes: finished.modelBytes },
    rounds: 8,
    signature: signatureOf('finished'),
  },
  { type: 'wait', code: 'round/full', retryAfterMs: 30_000 },
  { type: 'error', re: 1, code: 'wire/unsupported-version', text: 'version 1 is spoken here', supportedVersions: [1] },
  { type: 'error', code: 'wire/rate-limited', text: 'too many requests', retryAfterMs: 250 },
];
const frame = (entry) => {
  const [message, body = new Uint8Array(0)] = Array.isArray(entry) ? entry : [entry];
  return { message, body, frame: encodeFrame(message, body) };
};

const raw = (hex) => {
  const header = fromHex(hex.replaceAll(' ', ''));
  return concat(Uint8Array.of(header.length & 0xff, header.length >> 8, 0, 0), header);
};
const bye = '82 a474797065 a3627965 a26964 ';
const refused = [
  ['no header', new Uint8Array(4), 'wire/malformed'],
  ['a header longer than the frame', concat(fill(0xff, 1), fill(0, 3), utf8('x')), 'wire/malformed'],
  ['a header above 64 KiB', concat(Uint8Array.of(1, 0, 1, 0), fill(0, 3)), 'wire/too-large'],
  ['a byte after the message', raw(`${bye}01 c0`), 'wire/malformed'],
  ['nil', raw('c0'), 'wire/malformed'],
  ['an extension', raw(`${bye}d4 00 00`), 'wire/malformed'],
  ['float32', raw(`${bye}ca 3f800000`), 'wire/malformed'],
  ['a fraction', raw(`${bye}cb 3ff8000000000000`), 'wire/malformed'],
  ['a key twice', raw('83 a474797065 a3627965 a26964 01 a26964 01'), 'wire/malformed'],
  ['an unknown key', raw('83 a474797065 a3627965 a26964 01 a16b 01'), 'wire/malformed'],
  ['a number as key', raw('82 a474797065 a3627965 01 01'), 'wire/malformed'],
  ['text that is not UTF-8', raw('82 a474797065 a2c328 a26964 01'), 'wire/malformed'],
  ['a body that the message does not have', concat(raw(`${bye}01`), fill(1, 3)), 'wire/malformed'],
].map(([what, bytes, code]) => ({ what, frame: bytes, code }));

write('frames', 'SPEC.md §3, §5–§10: each message in its frame. Other MessagePack of the same value is as good.', {
  toServer: toServer.map(frame),
  fromServer: fromServer.map(frame),
  refusedFromParticipant: refused,
});

// ------------------------------------------------------------------ sealed reports

const sealContext = {
  participant: participant.publicKey,
  task: offer.task,
  round: offer.round,
  attempt: offer.attempt,
  exchange: 0,
  planHash,
  modelHash,
  offerHash,
};
const ephemeralSecret = fill(0x55);
const fixedRandom = { ...nodeCrypto, randomBytes: () => ephemeralSecret.slice() };
const seals = [];
for (const suite of Object.values(suites)) {
  for (const length of [0, 5, 300]) {
    const plaintext = pattern(length);
    const sealed = await suite.seal(fixedRandom, aggregator.publicKey, sealContext, plaintext);
    seals.push({ suite: suite.name, plaintext, sealed });
  }
  const long = 2 * 1024 * 1024 + 100;
  const sealed = await suite.seal(fixedRandom, aggregator.publicKey, sealContext, pattern(long));
  seals.push({
    suite: suite.name,
    patternBytes: long,
    sealedBytes: sealed.length,
    sealedSha256: await nodeCrypto.sha256(sealed),
  });
}
write(
  'seals',
  'SPEC.md §6: reports sealed with a fixed ephemeral key. patternBytes: byte i is (131·i + ⌊i/256⌋) mod 256.',
  {
    aggregator,
    ephemeral: await nodeCrypto.x25519KeyPair(ephemeralSecret),
    context: sealContext,
    seals,
  },
);

// ------------------------------------------------------------------ reports

function reportVector(privacy, rounds, lossRange, participants) {
  const plan = parsePlan({
    version: 1,
    task: 'digits',
    data: { shape: [8, 8, 1] },
    encoder: { name: 'mlp' },
    pretext: { name: 'spectral' },
    augmentation: { name: 'image' },
    training: { steps: 1, batch: 2, optimiser: { name: 'sgd', learningRate: 0.1 } },
    rounds: { count: 1, ...rounds },
    privacy: { mode: 'sealed', ...privacy },
  });
  const [train] = exchangesOf(plan, { dimension: participants[0].delta.length, lossRange });
  const reports = participants.map(({ delta, loss, examples }) => {
    const values = { delta: Float32Array.from(delta), 'metrics/loss': Float32Array.of(loss) };
    return {
      delta: values.delta,
      loss: values['metrics/loss'][0],
      examples,
      words: buildReport(plan, train, values, examples),
    };
  });
  const sum = new Int32Array(reports[0].words.length);
  for (const { words } of reports) addWords(sum, words);
  const { clipNorm, maxExamples, weights } = plan.privacy;
  const { maxCohort } = plan.rounds;
  return {
    clipNorm,
    maxExamples,
    weights,
    maxCohort,
    lossRange,
    scales: train.sections.map((section) => scaleOf(section, maxCohort)),
    reports,
    sum,
    sumSha256: sha256(asBytes(sum)),
    opened: openSum(plan, train, sum),
  };
}
const sha256 = (bytes) => new Uint8Array(createHash('sha256').update(bytes).digest());

const three = [
  { delta: [0.125, -0.25, 0.0625, 0], loss: 1.5, examples: 130 },
  { delta: [3, -4, 12, 0.1], loss: -7, examples: 64 },
  { delta: [1e-9, -1e-4, 0.3333333, -0.7], loss: 2.25, examples: 1000 },
];
write('reports', 'SPEC.md §8: values, words, their sum and what it opens to. Values are float32.', {
  cases: [
    reportVector({ clipNorm: 1, maxExamples: 500 }, { cohort: 10 }, [-8, 24], three),
    reportVector({ clipNorm: 20, weights: 'uniform' }, { cohort: 3, maxCohort: 1000 }, [0, 9.25], three),
    reportVector({ clipNorm: 0.1, maxExamples: 7 }, { cohort: 2, overSelection: 1 }, [-1, 1], three.slice(0, 2)),
  ],
});

// ------------------------------------------------------------------ safetensors

const models = [
  { arrays: {}, metadata: {} },
  {
    arrays: {
      'encoder/dense1/kernel': float32([2, 3], Float32Array.of(1, -2, 3.5, 1e-40, -0, 1e38)),
      'encoder/dense0/bias': float32([3], Float32Array.of(0.1, 0.2, 0.3)),
      'aux/count': int32([2], Int32Array.of(-1, 2 ** 31 - 1)),
      'encoder/scale': float32([], Float32Array.of(0.5)),
    },
    metadata: { note: 'a "quoted" note', format: 'tacit' },
  },
].map(({ arrays, metadata }) => ({
  tensors: Object.entries(arrays).map(([name, { shape, dtype, data }]) => ({
    name,
    shape,
    dtype,
    data: asBytes(data),
  })),
  metadata,
  file: encodeSafetensors(arrays, metadata),
}));
write('safetensors', 'SPEC.md §7: tensors (data as little-endian bytes) and the one file that they make.', { models });

// ------------------------------------------------------------------ secure aggregation

/** A whole session of seven with two exchanges, of whom one is lost in each; random bytes are counted up from a hash. */
async function secaggVector() {
  let drawn = 0;
  const numbered = (i) => createHash('sha256').update(`tacit secagg vector ${i}`).digest();
  const randomBytes = (length) => new Uint8Array(numbered(drawn++)).slice(0, length);
  const crypto = { ...nodeCrypto, randomBytes };
  const exchanges = [6, 9];
  const seeds = Array.from({ length: 7 }, (_, i) => fill(0x80 + i));
  const people = await Promise.all(seeds.map((seed) => identities.identityFromSeed(crypto, seed)));
  const order = people.map((_, i) => i).sort((a, b) => Buffer.compare(people[a].publicKey, people[b].publicKey));
  const terms = { offerHash, planHash, modelHash, exchanges, minCohort: 4, maxCohort: 10 };
  const sessions = order.map((i) =>
    secagg.openSession({
      ...{ ...terms, crypto, identity: people[i], serverKey: server.publicKey },
      ...{ policyMinCohort: 3, certificate: new Uint8Array(0) },
    }),
  );
  const coordinator = openServerSession({ ...terms, crypto: nodeCrypto, identity: server });
  const id = (k) => people[order[k]].id;
  const all = sessions.map((_, k) => k);
  const wordsOf = (k, e) =>
    Int32Array.from({ length: exchanges[e] }, (_, w) => Math.imul(k * 31 + e * 7 + w + 1, 0x9e3779b1));

  const advertisements = [];
  for (const k of all) advertisements.push(await sessions[k].advertise());
  for (const k of all) await coordinator.advertised(id(k), advertisements[k]);
  const roster = (await coordinator.roster()).get(id(0));
  const shares = [];
  for (const k of all) shares.push(await sessions[k].share(roster));
  for (const k of all) await coordinator.shared(id(k), shares[k]);
  const deliveries = await coordinator.delivery();
  for (const k of all) await sessions[k].receive(deliveries.get(id(k)));
  const rounds = [];
  let alive = all;
  for (const [e] of exchanges.entries()) {
    const startHash = e === 0 ? modelHash : await secagg.startHashOf(nodeCrypto, [modelHash, fill(0x90)]);
    const members = alive;
    alive = members.filter((k) => k !== 1 + 3 * e);
    const masked = new Map();
    for (const k of members) masked.set(k, (await sessions[k].mask(e, wordsOf(k, e), startHash)).slice());
    for (const k of alive) coordinator.masked(id(k), e, new Int32Array(masked.get(k).slice().buffer));
    const survivors = (await coordinator.survivors(e, startHash)).get(id(alive[0]));
    const agreement = new Map();
    for (const k of alive) agreement.set(k, await sessions[k].agree(survivors));
    for (const k of alive) await coordinator.agreed(id(k), agreement.get(k));
    const agreements = (await coordinator.agreements(e)).get(id(alive[0]));
    const unmasking = new Map();
    for (const k of alive) unmasking.set(k, await sessions[k].unmask(agreements));
    for (const k of alive) await coordinator.unmasking(id(k), unmasking.get(k));
    const { sum } = await coordinator.open(e);
    rounds.push({
      startHash,
      words: members.map((k) => ({ participant: k, words: wordsOf(k, e), masked: masked.get(k) })),
      survivors,
      agreements: alive.map((k) => ({ participant: k, body: agreement.get(k) })),
      shown: agreements,
      unmaskings: alive.map((k) => ({ participant: k, body: unmasking.get(k) })),
      sum,
    });
  }
  const entries = secagg.decodeRoster(roster, exchanges.length).entries;
  const groups = await secagg.drawGroups(nodeCrypto, offerHash, entries, 4);
  const dealers = [0, 4];
  const { sessionId } = sessions[0];
  const signature = await people[order[2]].sign(secagg.complaintStatement(sessionId, dealers, all.length));
  return {
    ...{ offerHash, planHash, serverKey: server.publicKey, exchanges },
    // secrets in the order in which a participant draws them: s of each exchange, c; then (all have advertised) b of each exchange
    participants: all.map((k) => ({
      seed: seeds[order[k]],
      maskSecrets: exchanges.map((_, e) => new Uint8Array(numbered(k * (exchanges.length + 1) + e))),
      channelSecret: new Uint8Array(numbered(k * (exchanges.length + 1) + exchanges.length)),
      advertisement: advertisements[k],
      shares: shares[k],
    })),
    sessionId: sessions[0].sessionId,
    roster,
    deliveries: all.map((k) => deliveries.get(id(k))),
    // none was made in this session
    complaint: { participant: 2, dealers, body: secagg.encodeComplaint({ dealers, signature }, all.length) },
    rounds,
    groupsOfFour: groups.map((group) => group.map(({ identity }) => identity)),
  };
}
/** shamir-secret-sharing takes its coefficients from node:crypto; for the vectors they are counted up too. */
async function withFixedCoefficients(make) {
  const { randomBytes } = builtinCrypto;
  let drawn = 0;
  builtinCrypto.randomBytes = (length) =>
    createHash('shake256', { outputLength: length }).update(`${drawn++}`).digest();
  syncBuiltinESMExports();
  try {
    return await make();
  } finally {
    builtinCrypto.randomBytes = randomBytes;
    syncBuiltinESMExports();
  }
}

write(
  'secagg',
  'SPEC.md §13: a session of seven with two exchanges; one participant is lost in each. Participants are numbered by the roster.',
  await withFixedCoefficients(secaggVector),
);

// ------------------------------------------------------------------ the table of errors in SPEC.md

const spec = join(root, 'protocol', 'SPEC.md');
const rows = [
  ['code', 'retryable', 'meaning'],
  ...Object.entries(ERRORS).map(([code, { retryable, meaning }]) => [`\`${code}\``, retryable ? 'yes' : '', meaning]),
];
const widths = [0, 1, 2].map((column) => Math.max(...rows.map((row) => row[column].length)));
const line = (cells) => `| ${cells.join(' | ')} |`;
const lines = rows.map((row) => line(row.map((cell, column) => cell.padEnd(widths[column]))));
const table = [lines[0], line(widths.map((width) => '-'.repeat(width))), ...lines.slice(1)].join('\n');
const between = /(<!-- errors:.*-->\n)[\s\S]*(<!-- \/errors -->)/;
const replaced = readFileSync(spec, 'utf8').replace(between, (_, start, end) => `${start}\n${table}\n\n${end}`);
writeFileSync(spec, replaced);
