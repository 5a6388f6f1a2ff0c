import { describe, it } from 'vitest';
import { compiledEngine } from '../../learning/engine/compiled.ts';
import { eagerEngine } from '../../learning/engine/eager.ts';
import { probeTensorFlow } from '../../learning/engine/eager-tensorflow.ts';
import { engineContract } from './engine.ts';

engineContract('compiled:cpu', () => compiledEngine());
engineContract('eager:cpu', () => eagerEngine('cpu'));
engineContract('eager:wasm', () => eagerEngine('wasm'));

const native = await probeTensorFlow();
if (native.available) engineContract('eager:tensorflow', () => eagerEngine('tensorflow'));
else describe('engine contract: eager:tensorflow', () => it(`does not run here: ${native.reason}`, () => undefined));
