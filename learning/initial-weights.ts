/**
 * Starting from pre-trained weights. A plan *file* names a safetensors file and how its tensors are called here:
 *   initialWeights: {file: pretrained.safetensors, names: {backbone/: encoder/}}
 * The plan that is signed and sent holds neither path nor names, only the hash of the model that came of it
 * (`initialWeights: {modelHash}`): participants get that model in the first round, and refuse any other. Node only.
 */
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { z } from 'zod';
import { TacitError } from '../protocol/errors.ts';
import type { Plan } from '../protocol/plan.ts';
import { planError } from '../protocol/plan-error.ts';
import { assertFinite, decodeSafetensors, encodeSafetensors } from '../protocol/safetensors.ts';
import { type NamedArrays, type NDArray, sizeOf, type TensorSpec } from '../protocol/tensors.ts';
import { modelOf } from './model.ts';
import { completePlan } from './registry.ts';

const requestSchema = z.strictObject({
  /** Looked for beside the plan, then in the working folder. */
  file: z.string().min(1),
  /** A tensor's name in the file, or how several begin → the same here; the longest that fits counts. Default: names are equal. */
  names: z.record(z.string(), z.string()).default({}),
});
type Request = z.infer<typeof requestSchema>;

/** What became of the tensors of a file and of those of the plan. */
export interface WeightsReport {
  readonly file: string;
  readonly sha256: string;
  /** Tensors that start from the file. */
  readonly taken: readonly string[];
  /** Numbers among all that are sent which come from the file. */
  readonly takenNumbers: number;
  readonly totalNumbers: number;
  /** Tensors of the plan that the file does not have: they start at random. */
  readonly missing: readonly string[];
  /** Tensors of the file that the plan has no place for. */
  readonly unused: readonly string[];
  /** Tensors of another shape: they start at random. */
  readonly misfits: readonly { readonly name: string; readonly found: string; readonly needed: string }[];
}

/** A complete plan and, if it names initial weights, the model that it starts from. */
export interface StartingPoint {
  readonly plan: Plan;
  /** All aggregated parameters. */
  readonly initialModel?: NamedArrays;
  readonly report?: WeightsReport;
}

/** The name here of a tensor of the file. */
function nameHere(name: string, names: Request['names']): string {
  const prefix = Object.keys(names)
    .filter((key) => name.startsWith(key))
    .sort((a, b) => b.length - a.length)[0];
  return prefix === undefined ? name : `${names[prefix]}${name.slice(prefix.length)}`;
}

const describe = ({ dtype, shape }: TensorSpec): string => `${dtype} [${shape.join(', ')}]`;

const fits = (array: NDArray, spec: TensorSpec): boolean => describe(array) === describe(spec);

/** The plan's own initial weights with those of the file in their place where names and shapes agree. */
function blend(
  plan: Plan,
  found: NamedArrays,
  file: string,
  sha256: string,
): { model: NamedArrays; report: WeightsReport } {
  const { aggregated, init } = modelOf(plan);
  const own = init(plan.seed);
  const names = Object.keys(aggregated);
  const taken = names.filter((name) => found[name] && fits(found[name], aggregated[name]!));
  const misfits = names
    .filter((name) => found[name] && !taken.includes(name))
    .map((name) => ({ name, found: describe(found[name]!), needed: describe(aggregated[name]!) }));
  const numbersOf = (list: readonly string[]): number =>
    list.reduce((n, name) => n + sizeOf(aggregated[name]!.shape), 0);
  const model = Object.fromEntries(names.map((name) => [name, taken.includes(name) ? found[name]! : own[name]!]));
  return {
    model,
    report: {
      file,
      sha256,
      taken,
      takenNumbers: numbersOf(taken),
      totalNumbers: numbersOf(names),
      missing: names.filter((name) => !found[name]),
      unused: Object.keys(found).filter((name) => !Object.hasOwn(aggregated, name)),
      misfits,
    },
  };
}

async function readWeights(
  { file, names }: Request,
  folders: readonly string[],
): Promise<{ path: string; bytes: Uint8Array; found: NamedArrays }> {
  const path = folders.map((folder) => resolve(folder, file)).find((candidate) => existsSync(candidate));
  const where = `initialWeights.file: ${file}`;
  if (path === undefined) {
    throw new TacitError('data/not-found', `There is no file ${file} with initial weights.`, {
      where,
      hint: `It is looked for in ${folders.map((folder) => resolve(folder)).join(' and ')}.`,
    });
  }
  const bytes = new Uint8Array(await readFile(path));
  try {
    const { arrays } = decodeSafetensors(bytes);
    assertFinite(arrays);
    const entries = Object.entries(arrays).map(([name, array]) => [nameHere(name, names), array] as const);
    const twice = entries.find(([name], i) => entries.findIndex(([other]) => other === name) !== i);
    if (twice) throw new TacitError('weights/mismatch', `two tensors of the file are called "${twice[0]}" here`);
    return { path, bytes, found: Object.fromEntries(entries) };
  } catch (thrown) {
    if (!(thrown instanceof TacitError)) throw thrown;
    throw new TacitError(thrown.code, thrown.message, {
      where,
      hint: 'It must be a safetensors file of float32 numbers.',
      cause: thrown,
    });
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/**
 * Completes a plan, and reads the initial weights that it names if it names a file.
 * @param folders where the file may be, the first one that has it counts
 * @throws TacitError as `completePlan`; data/not-found, weights/malformed, weights/not-finite; weights/mismatch when nothing fits
 */
export async function startingPoint(value: unknown, folders: readonly string[] = ['.']): Promise<StartingPoint> {
  if (!isObject(value) || !isObject(value.initialWeights) || 'modelHash' in value.initialWeights) {
    return { plan: completePlan(value) };
  }
  const { initialWeights, ...rest } = value;
  const parsed = requestSchema.safeParse(initialWeights);
  if (!parsed.success) throw planError(parsed.error, initialWeights, 'initialWeights.');
  const plan = completePlan(rest);
  const { path, bytes, found } = await readWeights(parsed.data, folders);
  const { model, report } = blend(plan, found, path, createHash('sha256').update(bytes).digest('hex'));
  if (report.taken.length === 0) {
    throw new TacitError(
      'weights/mismatch',
      `No tensor of ${path} fits the plan.\n${weightsLines(report).slice(1).join('\n')}`,
      {
        where: 'initialWeights',
        hint: 'Say with `initialWeights.names` what they are called here, such as {backbone/: encoder/}.',
      },
    );
  }
  const modelHash = createHash('sha256').update(encodeSafetensors(model)).digest('hex');
  return { plan: completePlan({ ...rest, initialWeights: { modelHash } }), initialModel: model, report };
}

const SHOWN = 6;
const listed = (names: readonly string[]): string =>
  `${names.slice(0, SHOWN).join(', ')}${names.length > SHOWN ? `, … (${names.length} in all)` : ''}`;

/** The report for people, one line for each kind of thing. */
export function weightsLines({
  file,
  taken,
  takenNumbers,
  totalNumbers,
  missing,
  unused,
  misfits,
}: WeightsReport): string[] {
  const share = Math.round((100 * takenNumbers) / totalNumbers);
  const all = taken.length + missing.length + misfits.length;
  const count = (n: number): string => n.toLocaleString('en-US');
  return [
    `initial weights: ${taken.length} of ${all} tensors (${count(takenNumbers)} of ${count(totalNumbers)} numbers, ${share} %) from ${file}`,
    ...(missing.length > 0 ? [`  not in the file, so at random: ${listed(missing)}`] : []),
    ...misfits
      .slice(0, SHOWN)
      .map((m) => `  of another shape, so at random: ${m.name} is ${m.found} there, ${m.needed} here`),
    ...(misfits.length > SHOWN ? [`  and ${misfits.length - SHOWN} more of another shape`] : []),
    ...(unused.length > 0 ? [`  in the file only: ${listed(unused)}`] : []),
  ];
}
