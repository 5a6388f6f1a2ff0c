import { webCrypto } from '../../protocol/crypto/web.ts';
import { suites } from '../../protocol/sealing/suites.ts';
import { sealingContract } from '../contract/sealing-suite.ts';

for (const suite of Object.values(suites)) sealingContract('web in a browser', webCrypto, suite);
