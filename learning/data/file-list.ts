/**
 * A list of image files, compact enough for 10⁵ of them: one string per folder, one per file name, one number in between.
 * The same rules in Node and browsers: natural order, hidden files and other kinds passed over, grouped by subfolder.
 */
import { naturalCompare } from './natural-order.ts';

export interface FileList {
  readonly length: number;
  /** Path below the folder, with `/`. */
  pathOf(index: number): string;
  /** Names of the subfolders directly below the folder; images beside them are in group `.`. Absent without subfolders. */
  readonly groups?: readonly string[];
  group?(index: number): number;
  readonly skipped: Skipped;
}

/** What was passed over because it is no image: how many files, and the first few. */
export interface Skipped {
  readonly count: number;
  readonly first: readonly string[];
}

const NAMED_SKIPPED = 20;

export const isHidden = (name: string): boolean => name.startsWith('.') || name === '__MACOSX';
export const isImageName = (name: string): boolean => /\.(png|jpe?g)$/i.test(name);

/** Collects files in their final order. */
export interface FileListBuilder {
  /** @param directory path below the folder, '' for the folder itself */
  add(directory: string, name: string): void;
  finish(): FileList;
}

export function buildFileList(): FileListBuilder {
  const directories: string[] = [];
  const numbers = new Map<string, number>();
  const names: string[] = [];
  const directoryOf: number[] = [];
  const skipped: string[] = [];
  let skippedCount = 0;

  const numberOf = (directory: string): number => {
    const known = numbers.get(directory);
    if (known !== undefined) return known;
    numbers.set(directory, directories.length);
    return directories.push(directory) - 1;
  };

  return {
    add(directory, name) {
      if (!isImageName(name)) {
        if (skippedCount++ < NAMED_SKIPPED) skipped.push(joined(directory, name));
        return;
      }
      names.push(name);
      directoryOf.push(numberOf(directory));
    },
    finish() {
      const places = Int32Array.from(directoryOf);
      return {
        length: names.length,
        pathOf: (index) => joined(directories[places[index]!]!, names[index]!),
        ...grouping(directories, places),
        skipped: { count: skippedCount, first: skipped },
      };
    },
  };
}

const joined = (directory: string, name: string): string => (directory === '' ? name : `${directory}/${name}`);

function grouping(directories: readonly string[], places: Int32Array): Pick<FileList, 'groups' | 'group'> {
  if (directories.every((directory) => directory === '')) return {};
  const topOf = (directory: string): string => (directory === '' ? '.' : directory.split('/', 1)[0]!);
  const groups = [...new Set(directories.map(topOf))].sort(naturalCompare);
  const groupOf = directories.map((directory) => groups.indexOf(topOf(directory)));
  return { groups, group: (index) => groupOf[places[index]!]! };
}
