import { nodeCrypto } from '../../protocol/crypto/node.ts';
import { hostileCoordinatorContract } from './hostile-coordinator.ts';

hostileCoordinatorContract(nodeCrypto);
