import { webCrypto } from '../../protocol/crypto/web.ts';
import { hostileCoordinatorContract } from '../contract/hostile-coordinator.ts';

hostileCoordinatorContract(webCrypto);
