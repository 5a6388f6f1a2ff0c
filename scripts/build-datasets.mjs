// Rebuilds data/ from Debian's packages: `node scripts/build-datasets.mjs` writes the files and data/manifest.json,
// `--check` writes nothing and says whether the uncompressed bytes are those of the manifest,
// `--from DIR` takes an already unpacked root of the packages instead of downloading them with apt-get.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { constants, gunzipSync, gzipSync } from 'node:zlib';

const dataFolder = join(dirname(dirname(fileURLToPath(import.meta.url))), 'data');
const PACKAGES = ['python3-sklearn', 'dataset-fashion-mnist'];

const DIGITS_TEST_PER_CLASS = 50;
const FASHION_PER_CLASS = { train: 1000, test: 200 };

const sha256 = (bytes) => createHash('sha256').update(bytes).digest('hex');

function run(command, args, cwd) {
  const result = spawnSync(command, args, { cwd, stdio: ['ignore', 'ignore', 'inherit'] });
  if (result.status === 0) return;
  process.stderr.write(`build-datasets: ${command} ${args.join(' ')} failed\n`);
  process.exit(1);
}

/** Downloads the packages and unpacks them into a temporary folder; nothing is installed. */
function unpackPackages(folder) {
  run('apt-get', ['download', '-q', ...PACKAGES], folder);
  const root = join(folder, 'root');
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.deb'))) {
    run('dpkg-deb', ['-x', join(folder, name), root]);
  }
  return root;
}

/** An IDX file of unsigned bytes: magic, dimensions (big-endian), values. */
function idx(shape, values) {
  const header = Buffer.alloc(4 + 4 * shape.length);
  header.writeUInt8(8, 2);
  header.writeUInt8(shape.length, 3);
  for (const [axis, size] of shape.entries()) header.writeUInt32BE(size, 4 + 4 * axis);
  return Buffer.concat([header, values]);
}

/** Keeps the examples with these indices, as a pair of IDX files. */
function select({ images, labels, height, width }, indices) {
  const size = height * width;
  return {
    examples: indices.length,
    images: idx(
      [indices.length, height, width],
      Buffer.concat(indices.map((i) => images.subarray(i * size, (i + 1) * size))),
    ),
    labels: idx([indices.length], Buffer.from(indices.map((i) => labels[i]))),
  };
}

/** Of each class the 50 examples whose SHA-256 of "digits <row>" is smallest are test data; file order is kept. */
function splitDigits(all) {
  const rows = Array.from(all.labels, (label, row) => ({ row, label, key: sha256(`digits ${row}`) }));
  const ordered = rows.toSorted((a, b) => (a.key < b.key ? -1 : 1));
  const test = new Set();
  for (let label = 0; label < 10; label++) {
    const ofClass = ordered.filter((entry) => entry.label === label);
    for (const { row } of ofClass.slice(0, DIGITS_TEST_PER_CLASS)) test.add(row);
  }
  const keep = (wanted) => rows.filter(({ row }) => test.has(row) === wanted).map(({ row }) => row);
  return { train: select(all, keep(false)), test: select(all, keep(true)) };
}

function readDigits(root) {
  const path = 'usr/lib/python3/dist-packages/sklearn/datasets/data/digits.csv.gz';
  const rows = gunzipSync(readFileSync(join(root, path)))
    .toString('latin1')
    .trim()
    .split('\n');
  const cells = rows.map((row) => row.split(',').map(Number));
  return {
    height: 8,
    width: 8,
    images: Buffer.from(cells.flatMap((row) => row.slice(0, 64))),
    labels: Buffer.from(cells.map((row) => row[64])),
  };
}

/** The first 1,000 training and 200 test images of each class, in file order. */
function readFashion(root, split) {
  const prefix = join(root, 'usr/share/datasets/fashion-mnist', split === 'train' ? 'train' : 't10k');
  const images = gunzipSync(readFileSync(`${prefix}-images-idx3-ubyte.gz`)).subarray(16);
  const labels = gunzipSync(readFileSync(`${prefix}-labels-idx1-ubyte.gz`)).subarray(8);
  const taken = new Array(10).fill(0);
  const indices = Array.from(labels.keys()).filter((i) => taken[labels[i]]++ < FASHION_PER_CLASS[split]);
  return select({ images, labels, height: 28, width: 28 }, indices);
}

/** gzip without time or name, by whichever zlib strategy is smallest. */
function compress(bytes) {
  const strategies = [constants.Z_DEFAULT_STRATEGY, constants.Z_FILTERED];
  const packed = strategies.map((strategy) => gzipSync(bytes, { level: 9, memLevel: 9, strategy }));
  return packed.toSorted((a, b) => a.length - b.length)[0];
}

function describe(name, splits) {
  const entry = {};
  for (const [split, { examples, ...files }] of Object.entries(splits)) {
    entry[split] = { examples };
    for (const [part, bytes] of Object.entries(files)) {
      const file = `${name}/${split}-${part}-idx${part === 'images' ? 3 : 1}-ubyte.gz`;
      entry[split][part] = { file, bytes: bytes.length, sha256: sha256(bytes) };
    }
  }
  return entry;
}

function build(root) {
  const bytes = {
    digits: splitDigits(readDigits(root)),
    'fashion-mnist': { train: readFashion(root, 'train'), test: readFashion(root, 'test') },
  };
  const manifest = {
    digits: {
      title: 'Optical recognition of handwritten digits',
      licence: 'CC-BY-4.0',
      source: 'Debian python3-sklearn, sklearn/datasets/data/digits.csv.gz',
      shape: [8, 8, 1],
      maximum: 16,
      classes: ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'],
      splits: describe('digits', bytes.digits),
    },
    'fashion-mnist': {
      title: 'Fashion-MNIST, class-balanced subset',
      licence: 'MIT',
      source: 'Debian dataset-fashion-mnist',
      shape: [28, 28, 1],
      maximum: 255,
      classes: [
        'T-shirt/top',
        'Trouser',
        'Pullover',
        'Dress',
        'Coat',
        'Sandal',
        'Shirt',
        'Sneaker',
        'Bag',
        'Ankle boot',
      ],
      splits: describe('fashion-mnist', bytes['fashion-mnist']),
    },
  };
  return { bytes, manifest };
}

function write({ bytes, manifest }) {
  for (const [name, { splits }] of Object.entries(manifest)) {
    mkdirSync(join(dataFolder, name), { recursive: true });
    for (const [split, entry] of Object.entries(splits)) {
      for (const part of ['images', 'labels']) {
        writeFileSync(join(dataFolder, entry[part].file), compress(bytes[name][split][part]));
      }
    }
  }
  writeFileSync(join(dataFolder, 'manifest.json'), `${JSON.stringify(manifest, null, 2)}\n`);
}

const scratch = mkdtempSync(join(tmpdir(), 'datasets-'));
try {
  const from = process.argv.indexOf('--from');
  const built = build(from > 0 ? process.argv[from + 1] : unpackPackages(scratch));
  if (process.argv.includes('--check')) {
    const stored = JSON.parse(readFileSync(join(dataFolder, 'manifest.json'), 'utf8'));
    const same = JSON.stringify(stored) === JSON.stringify(built.manifest);
    process.stdout.write(same ? 'data/ matches its packages\n' : 'data/manifest.json differs from its packages\n');
    process.exitCode = same ? 0 : 1;
  } else write(built);
} finally {
  rmSync(scratch, { recursive: true, force: true });
}
