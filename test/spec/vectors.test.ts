/** protocol/vectors/*.json in both directions: what they say is what is made, and what they hold is read as what they say. */
import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { asBytes, equalBytes, fromHex, toHex } from '../../protocol/bytes.ts';
import * as canonical from '../../protocol/canon.ts';
import { certificateStatement, decodeCertificate, verifyCertificate } from '../../protocol/certificate.ts';
import { decodeClientFrame, decodeServerFrame, encodeFrame } from '../../protocol/codec.ts';
import { nodeCrypto } from '../../protocol/crypto/node.ts';
import { addWords, checkReport, scaleOf } from '../../protocol/fixed-point.ts';
import * as identities from '../../protocol/identity.ts';
import {
  type ClientMessage,
  type CommitRecord,
  clientMessage,
  type ExchangeStart,
  type Offer,
  type ServerMessage,
  serverMessage,
} from '../../protocol/messages.ts';
import { parsePlan } from '../../protocol/plan.ts';
import type { SuiteName } from '../../protocol/plan-privacy.ts';
import { buildReport, type OpenedSum, openSum } from '../../protocol/report.ts';
import { decodeSafetensors, encodeSafetensors } from '../../protocol/safetensors.ts';
import type { SealContext } from '../../protocol/sealing/suite.ts';
import { suites } from '../../protocol/sealing/suites.ts';
import { exchangesOf } from '../../protocol/sections.ts';
import type { DType, NDArray } from '../../protocol/tensors.ts';

/** Reads a vector file; `{"$hex": …}` becomes bytes. */
function vectors<T>(name: string): T {
  const text = readFileSync(new URL(`../../protocol/vectors/${name}.json`, import.meta.url), 'utf8');
  return JSON.parse(text, (_, value) =>
    typeof value === 'object' && value !== null && '$hex' in value ? fromHex(value.$hex) : value,
  );
}

describe('canon.json', () => {
  const { fields, tuples } = vectors<{
    fields: { kind: string; value: never; bytes: Uint8Array }[];
    tuples: { label: string; fields: Uint8Array[]; bytes: Uint8Array }[];
  }>('canon');
  const { u8, u16, u32, u64, f64, text, identifier, bool } = canonical;
  const encoders: Record<string, (value: never) => Uint8Array> = { u8, u16, u32, u64, f64, text, identifier, bool };

  test('[CB2] every kind of field', () => {
    expect(new Set(fields.map(({ kind }) => kind))).toEqual(new Set(Object.keys(encoders)));
    for (const { kind, value, bytes } of fields) expect(toHex(encoders[kind]!(value)), kind).toBe(toHex(bytes));
  });

  test('[CB1] tuples under a label', () => {
    for (const { label, fields: parts, bytes } of tuples) {
      expect(toHex(canonical.canon(label, ...parts))).toBe(toHex(bytes));
      expect(canonical.decodeCanon(label, bytes)).toEqual(parts);
    }
  });
});

describe('statements.json', () => {
  type Statement = { name: string; signer: string; value: never; bytes: Uint8Array; signature: Uint8Array };
  const file = vectors<{
    keys: { name: string; seed: Uint8Array; publicKey: Uint8Array; id: string }[];
    fingerprint: string;
    statements: Statement[];
    offerHash: Uint8Array;
    certificate: Uint8Array;
    transcript: { commits: CommitRecord[]; heads: Uint8Array[] };
  }>('statements');
  const keyOf = (name: string) => file.keys.find((key) => key.name === name)!;

  const layouts: Record<string, (value: never) => Uint8Array> = {
    welcome: (value: identities.Handshake) => identities.welcomeStatement(value),
    auth: (value: identities.Handshake & { identity: Uint8Array }) => identities.authStatement(value, value.identity),
    plan: (value: { task: string; planHash: Uint8Array }) => identities.planStatement(value.task, value.planHash),
    aggregator: (value: { task: string; aggregatorKey: Uint8Array }) =>
      identities.aggregatorStatement(value.task, value.aggregatorKey),
    offer: (value: Offer) => identities.offerStatement(value),
    exchange: (value: ExchangeStart) => identities.exchangeStatement(value),
    upload: identities.uploadStatement,
    commit: (value: CommitRecord) => identities.commitStatement(value),
    finished: identities.finishedStatement,
    cert: certificateStatement,
  };

  test('[ID1] keys of seeds, ids and the fingerprint', async () => {
    for (const { seed, publicKey, id } of file.keys) {
      const identity = await identities.identityFromSeed(nodeCrypto, seed);
      expect(toHex(identity.publicKey)).toBe(toHex(publicKey));
      expect(identity.id).toBe(id);
    }
    expect(await identities.fingerprintOf(nodeCrypto, keyOf('server').publicKey)).toBe(file.fingerprint);
  });

  test('[ST1] the bytes and the signature of every statement', async () => {
    expect(new Set(file.statements.map(({ name }) => name))).toEqual(new Set(Object.keys(layouts)));
    for (const { name, signer, value, bytes, signature } of file.statements) {
      expect(toHex(layouts[name]!(value)), name).toBe(toHex(bytes));
      const { seed, publicKey } = keyOf(signer);
      const identity = await identities.identityFromSeed(nodeCrypto, seed);
      expect(toHex(await identity.sign(bytes)), name).toBe(toHex(signature));
      await identities.verifyStatement(nodeCrypto, publicKey, bytes, signature);
    }
  });

  test('[ST2] the hash of the offer', async () => {
    const offer = file.statements.find(({ name }) => name === 'offer')!;
    expect(toHex(await identities.offerHashOf(nodeCrypto, offer.value))).toBe(toHex(file.offerHash));
  });

  test('[CE1] the certificate', async () => {
    const { certificate } = decodeCertificate(file.certificate);
    expect(certificate).toEqual(file.statements.find(({ name }) => name === 'cert')!.value);
    const use = {
      operatorKey: keyOf('operator').publicKey,
      identity: keyOf('participant').publicKey,
      task: 'digits',
      nowSeconds: certificate.notAfter,
    };
    await verifyCertificate(nodeCrypto, file.certificate, use);
  });

  test('[TX1] the heads of the transcript', async () => {
    expect(toHex(file.transcript.commits[0]!.prevHead)).toBe(toHex(identities.GENESIS_HEAD));
    for (const [i, commit] of file.transcript.commits.entries()) {
      expect(toHex(await identities.headAfter(nodeCrypto, commit))).toBe(toHex(file.transcript.heads[i]!));
    }
    expect(toHex(file.transcript.commits[1]!.prevHead)).toBe(toHex(file.transcript.heads[0]!));
  });
});

describe('frames.json', () => {
  type Entry<M> = { message: M; body: Uint8Array; frame: Uint8Array };
  const file = vectors<{
    toServer: Entry<ClientMessage>[];
    fromServer: Entry<ServerMessage>[];
    refusedFromParticipant: { what: string; frame: Uint8Array; code: string }[];
  }>('frames');

  test('[FR1] each message of either direction has one', () => {
    const typesOf = (schema: { options: readonly { shape: { type: { value: string } } }[] }) =>
      new Set(schema.options.map((option) => option.shape.type.value));
    expect(new Set(file.toServer.map(({ message }) => message.type))).toEqual(typesOf(clientMessage));
    expect(new Set(file.fromServer.map(({ message }) => message.type))).toEqual(typesOf(serverMessage));
  });

  test('[FR2] encoded and decoded', () => {
    const check = (
      { message, body, frame }: Entry<ClientMessage | ServerMessage>,
      decode: (frame: Uint8Array) => { message: unknown; body?: Uint8Array },
    ) => {
      expect(toHex(encodeFrame(message, body)), message.type).toBe(toHex(frame));
      const decoded = decode(frame);
      expect(decoded.message).toEqual(message);
      expect(toHex(decoded.body ?? new Uint8Array(0))).toBe(toHex(body));
    };
    for (const entry of file.toServer) check(entry, decodeClientFrame);
    for (const entry of file.fromServer) check(entry, decodeServerFrame);
  });

  test('[FR3] refused with their code', () => {
    for (const { what, frame, code } of file.refusedFromParticipant) {
      expect(() => decodeClientFrame(frame), what).toThrow(expect.objectContaining({ code }));
    }
  });
});

describe('seals.json', () => {
  type Seal = { suite: SuiteName } & (
    | { plaintext: Uint8Array; sealed: Uint8Array }
    | { patternBytes: number; sealedBytes: number; sealedSha256: Uint8Array }
  );
  const file = vectors<{
    aggregator: { publicKey: Uint8Array; secretKey: Uint8Array };
    ephemeral: { publicKey: Uint8Array; secretKey: Uint8Array };
    context: SealContext;
    seals: Seal[];
  }>('seals');
  const { aggregator, ephemeral, context } = file;
  const fixedRandom = { ...nodeCrypto, randomBytes: () => ephemeral.secretKey.slice() };

  test('[SE1] the keys', async () => {
    for (const { publicKey, secretKey } of [aggregator, ephemeral]) {
      expect(toHex((await nodeCrypto.x25519KeyPair(secretKey)).publicKey)).toBe(toHex(publicKey));
    }
  });

  test.each(file.seals.map((seal, i) => [i, seal.suite, seal] as const))(
    '[SE1] [SE2] [SE3] [SE4] %i, %s, sealed and opened',
    async (_, name, seal) => {
      const suite = suites[name];
      const plaintext =
        'plaintext' in seal
          ? seal.plaintext
          : Uint8Array.from({ length: seal.patternBytes }, (__, i) => (i * 131 + (i >> 8)) & 0xff);
      const sealed = await suite.seal(fixedRandom, aggregator.publicKey, context, plaintext);
      if ('sealed' in seal) expect(toHex(sealed)).toBe(toHex(seal.sealed));
      else {
        expect(sealed.length).toBe(seal.sealedBytes);
        expect(toHex(await nodeCrypto.sha256(sealed))).toBe(toHex(seal.sealedSha256));
      }
      const opened = await suite.open(
        nodeCrypto,
        aggregator.secretKey,
        context,
        'sealed' in seal ? seal.sealed : sealed,
      );
      expect(equalBytes(opened, plaintext)).toBe(true);
      expect(toHex(sealed.subarray(0, 32))).toBe(toHex(ephemeral.publicKey));
    },
  );

  test('[SE2] both suites are there', () => {
    expect(new Set(file.seals.map(({ suite }) => suite))).toEqual(new Set(Object.keys(suites)));
  });
});

describe('reports.json', () => {
  const { cases } = vectors<{
    cases: {
      clipNorm: number;
      maxExamples: number;
      weights: string;
      maxCohort: number;
      lossRange: [number, number];
      scales: number[];
      reports: { delta: number[]; loss: number; examples: number; words: number[] }[];
      sum: number[];
      sumSha256: Uint8Array;
      opened: Omit<OpenedSum, 'sections'> & { sections: { delta: number[] } };
    }[];
  }>('reports');

  test.each(cases.map((entry, i) => [i, entry] as const))(
    '[FP1] [FP2] [FP4] case %i, built, summed and opened',
    async (_, entry) => {
      const { clipNorm, maxExamples, weights, maxCohort, lossRange, reports, opened } = entry;
      const plan = parsePlan({
        version: 1,
        task: 'digits',
        data: { shape: [8, 8, 1] },
        encoder: { name: 'mlp' },
        pretext: { name: 'spectral' },
        augmentation: { name: 'image' },
        training: { steps: 1, batch: 2, optimiser: { name: 'sgd', learningRate: 0.1 } },
        rounds: { count: 1, cohort: reports.length - 1, maxCohort },
        privacy: { mode: 'sealed', clipNorm, maxExamples, weights },
      });
      const exchange = exchangesOf(plan, { dimension: reports[0]!.delta.length, lossRange })[0]!;
      expect(exchange.sections.map((section) => scaleOf(section, maxCohort))).toEqual(entry.scales);
      const sum = new Int32Array(entry.sum.length);
      for (const { delta, loss, examples, words } of reports) {
        const values = { delta: Float32Array.from(delta), 'metrics/loss': Float32Array.of(loss) };
        expect([...buildReport(plan, exchange, values, examples)]).toEqual(words);
        checkReport(exchange, Int32Array.from(words), maxCohort);
        addWords(sum, Int32Array.from(words));
      }
      expect([...sum]).toEqual(entry.sum);
      expect(toHex(await nodeCrypto.sha256(asBytes(sum)))).toBe(toHex(entry.sumSha256));
      const { sections, weight, metrics } = openSum(plan, exchange, sum);
      expect([...sections.delta!]).toEqual(opened.sections.delta);
      expect({ weight, metrics }).toEqual({ weight: opened.weight, metrics: opened.metrics });
    },
  );
});

describe('safetensors.json', () => {
  const { models } = vectors<{
    models: {
      tensors: { name: string; shape: number[]; dtype: DType; data: Uint8Array }[];
      metadata: Record<string, string>;
      file: Uint8Array;
    }[];
  }>('safetensors');

  test('[MF1] [MF2] written and read', () => {
    for (const { tensors, metadata, file } of models) {
      const arrays = Object.fromEntries(
        tensors.map(({ name, shape, dtype, data }): [string, NDArray] => [
          name,
          { shape, dtype, data: new (dtype === 'float32' ? Float32Array : Int32Array)(data.slice().buffer) },
        ]),
      );
      expect(toHex(encodeSafetensors(arrays, metadata))).toBe(toHex(file));
      const decoded = decodeSafetensors(file);
      expect(decoded.metadata).toEqual(metadata);
      expect(Object.keys(decoded.arrays)).toEqual(Object.keys(arrays).sort());
      for (const [name, array] of Object.entries(arrays)) {
        expect(decoded.arrays[name]!.shape).toEqual(array.shape);
        expect(toHex(asBytes(decoded.arrays[name]!.data))).toBe(toHex(asBytes(array.data)));
      }
    }
  });
});
