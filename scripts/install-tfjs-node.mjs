// Installs the native TensorFlow binding where its own downloads are impossible: in networks that reach a mirror of the npm and
// PyPI registries and nothing else. Linux on x64, Node 20 or later, Python with pip, a C++ compiler and make.
//   node scripts/install-tfjs-node.mjs [--gpu] [--into FOLDER] [--wheel FILE]
// The package comes through npm and TensorFlow's library out of PyPI's wheel, both from where npm and pip are configured to look;
// the addon is built here, with the headers of this Node. All of it lies in FOLDER/node_modules/@tensorflow (default: of this folder),
// and is gone with it; `npm ci` and `npm install` take it away.
import { spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

const VERSION = '4.22.0';
const WHEEL_VERSION = '2.15.1';
const WHEEL_PYTHON = '3.11';
const WHEEL_PLATFORM = 'manylinux2014_x86_64';

const { values: options } = parseArgs({
  options: {
    gpu: { type: 'boolean', default: false },
    into: { type: 'string', default: '.' },
    wheel: { type: 'string' },
  },
});
const name = options.gpu ? '@tensorflow/tfjs-node-gpu' : '@tensorflow/tfjs-node';
const wheelName = options.gpu ? 'tensorflow' : 'tensorflow-cpu';
const into = resolve(options.into);
const home = join(into, 'node_modules', name);
const python = process.env.TACIT_PYTHON ?? 'python3';

const say = (text) => process.stderr.write(`${text}\n`);

function fail(text, hint) {
  say(`error: ${text}`);
  if (hint) say(`  try: ${hint}`);
  process.exit(1);
}

/** Runs a command, and shows what it said only if it failed. */
function run(command, args, { cwd = into, hint, env = {} } = {}) {
  const { status, error, stdout, stderr } = spawnSync(command, args, {
    cwd,
    encoding: 'utf8',
    maxBuffer: 2 ** 28,
    env: { ...process.env, ...env },
  });
  if (!error && status === 0) return stdout.trim();
  say(`${stdout ?? ''}${stderr ?? ''}`);
  return fail(`${command} ${args.slice(0, 4).join(' ')} …: ${error?.message ?? `status ${status}`}`, hint);
}

function checkMachine() {
  if (process.platform !== 'linux' || process.arch !== 'x64')
    fail(`this recipe is for Linux on x64, not ${process.platform} on ${process.arch}`, `npm i ${name}@${VERSION}`);
  for (const [command, argument] of [
    [python, '--version'],
    ['make', '--version'],
    ['g++', '--version'],
  ]) {
    if (spawnSync(command, [argument]).status !== 0) fail(`${command} is needed and cannot be run`);
  }
}

/**
 * The package without its scripts, which would download. npm installs it into an empty project; from there it is put in its place
 * with what it depends on inside of it, but for tfjs, of which a process must hold one copy only. So nothing else changes.
 */
function installPackage(scratch) {
  say(`1/4 ${name}@${VERSION}, without its install script`);
  const project = join(scratch, 'project');
  mkdirSync(project);
  writeFileSync(join(project, 'package.json'), '{"private":true}');
  if (existsSync(join(into, '.npmrc'))) cpSync(join(into, '.npmrc'), join(project, '.npmrc'));
  run('npm', ['install', '--no-audit', '--no-fund', '--ignore-scripts', `${name}@${VERSION}`], { cwd: project });
  const modules = join(project, 'node_modules');
  rmSync(home, { recursive: true, force: true });
  cpSync(join(modules, name), home, { recursive: true });
  const hasTfjs = existsSync(join(into, 'node_modules', '@tensorflow', 'tfjs', 'package.json'));
  for (const entry of readdirSync(modules).filter((found) => !(found === '@tensorflow' && hasTfjs)))
    cpSync(join(modules, entry), join(home, 'node_modules', entry), { recursive: true, verbatimSymlinks: true });
}

/** Path of the wheel: the one that was named, or a download without Python's dependencies. */
function fetchWheel(scratch) {
  if (options.wheel) return resolve(options.wheel);
  say(`2/4 ${wheelName} ${WHEEL_VERSION} (${options.gpu ? '475' : '207'} MB)`);
  const where = ['--python-version', WHEEL_PYTHON, '--platform', WHEEL_PLATFORM, '--only-binary=:all:', '--no-deps'];
  run(python, ['-m', 'pip', 'download', ...where, '-d', scratch, `${wheelName}==${WHEEL_VERSION}`], {
    hint: `Fetch that wheel elsewhere and name it with --wheel FILE.`,
  });
  return join(
    scratch,
    readdirSync(scratch).find((file) => file.endsWith('.whl')),
  );
}

/** What the addon needs of a wheel: the library, the C API's headers and the few headers that those include. */
const UNPACK = `
import sys, zipfile
wanted = ('tensorflow/include/tensorflow/c/', 'tensorflow/include/tensorflow/core/platform/ctstring', 'tensorflow/include/tsl/')
with zipfile.ZipFile(sys.argv[1]) as wheel:
    for entry in wheel.namelist():
        library = entry.startswith('tensorflow/libtensorflow') and '.so' in entry
        if library or entry.startswith(wanted): wheel.extract(entry, sys.argv[2])
`;

function placeLibrary(wheel, scratch) {
  say('3/4 library and headers');
  run(python, ['-c', UNPACK, wheel, scratch]);
  const [lib, include] = ['lib', 'include'].map((folder) => join(home, 'deps', folder));
  rmSync(join(home, 'deps'), { recursive: true, force: true });
  mkdirSync(lib, { recursive: true });
  cpSync(join(scratch, 'tensorflow', 'include'), include, { recursive: true });
  for (const file of readdirSync(join(scratch, 'tensorflow')).filter((entry) => entry.startsWith('libtensorflow')))
    cpSync(join(scratch, 'tensorflow', file), join(lib, file));
  for (const [link, target] of [
    ['libtensorflow.so', 'libtensorflow_cc.so.2'],
    ['libtensorflow_framework.so', 'libtensorflow_framework.so.2'],
  ]) {
    if (!existsSync(join(lib, target))) fail(`the wheel holds no ${target}`);
    rmSync(join(lib, link), { force: true });
    symlinkSync(target, join(lib, link));
  }
}

/** Folder that holds this Node's headers under include/node; without one, node-gyp would download them. */
const nodeDir = () =>
  [process.env.npm_config_nodedir, dirname(dirname(process.execPath)), '/usr'].find(
    (folder) => folder && existsSync(join(folder, 'include', 'node', 'node_api.h')),
  );

function buildAddon() {
  say('4/4 the addon');
  const headers = nodeDir();
  if (!headers)
    fail('the headers of this Node are not installed', 'Name their folder with npm_config_nodedir, or install them.');
  const preGyp = createRequire(join(home, 'package.json')).resolve('@mapbox/node-pre-gyp/bin/node-pre-gyp');
  run(process.execPath, [preGyp, 'install', '--build-from-source', `--nodedir=${headers}`], { cwd: home });
}

/** One op and one gradient in a process of their own. */
const CHECK = `
const util = require('node:util');
util.isNullOrUndefined ??= (value) => value === null || value === undefined;
const tf = require(process.argv[1]);
tf.ready().then(() => {
  const g = tf.grad((x) => tf.sum(tf.square(x)))(tf.tensor1d([3]));
  if (tf.getBackend() !== 'tensorflow' || g.dataSync()[0] !== 6) throw new Error('a gradient came out wrong');
  console.log('ready: tfjs ' + tf.version.tfjs + ' on libtensorflow ' + tf.backend().binding.TF_Version);
}).catch((error) => { console.error(error); process.exit(1); });
`;

checkMachine();
const scratch = mkdtempSync(join(tmpdir(), 'tacit-tensorflow-'));
process.on('exit', () => rmSync(scratch, { recursive: true, force: true }));
installPackage(scratch);
placeLibrary(fetchWheel(scratch), scratch);
buildAddon();
say(run(process.execPath, ['-e', CHECK, home], { env: { TF_CPP_MIN_LOG_LEVEL: '3' } }));
