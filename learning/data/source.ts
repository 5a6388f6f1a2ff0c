/**
 * Where examples come from: an indexable collection, decoded lazily, so that 10⁵ files need not fit in memory.
 * A `SourceSpec` is plain data that a worker (or a Web Worker) turns into a `DataSource` of its own.
 */
import { TacitError } from '../../protocol/errors.ts';
import type { NDArray } from '../../protocol/tensors.ts';

/** The part of a plan that decides what an example must look like (plan.data). */
export interface DataContract {
  readonly shape: readonly [number, number, number];
  readonly resize: 'error' | 'cover' | 'contain';
}

export interface DataSource {
  readonly length: number;
  /** Names of the groups (subfolders, classes), if there are any. */
  readonly groups?: readonly string[];
  /** The group of example i, an index into `groups`. Never used by a pretext task. */
  group?(index: number): number;
  /**
   * @returns `image`: float32 [indices.length, height, width, channels] in [0, 1], the file's full range
   * @throws TacitError data/unreadable, data/wrong-shape, naming the file
   */
  read(indices: readonly number[] | Int32Array): Promise<Readonly<Record<'image', NDArray>>>;
}

export type BundledName = 'digits' | 'fashion-mnist';

/** Serialisable description of a data source; `indices` restricts it to those examples, in that order. */
export type SourceSpec = (
  | { readonly kind: 'bundled'; readonly name: BundledName; readonly split: 'train' | 'test' }
  | { readonly kind: 'idx'; readonly images: string; readonly labels?: string }
  | {
      readonly kind: 'csv';
      readonly path: string;
      /** Name of the label column, or its number (from 0; −1 is the last). */
      readonly labelColumn?: string;
      /** Whether the first line names the columns; recognised when absent. */
      readonly header?: boolean;
      /** The value of full intensity; 1 or 255 when absent. */
      readonly maximum?: number;
    }
  | { readonly kind: 'folder'; readonly path: string }
  | { readonly kind: 'files'; readonly files: readonly File[] }
  | { readonly kind: 'memory'; readonly image: NDArray; readonly groups?: readonly number[] }
) & { readonly indices?: Int32Array };

/** What a participant checks before it joins (plan.data.minExamples). @throws TacitError data/too-few-examples */
export function requireExamples(source: Pick<DataSource, 'length'>, minExamples: number): void {
  if (source.length >= minExamples) return;
  throw new TacitError(
    'data/too-few-examples',
    `the data source holds ${source.length} examples, the plan requires at least ${minExamples}`,
  );
}
