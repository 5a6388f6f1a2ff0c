import { expect, test } from 'vitest';
import { createWebCrypto, webCrypto } from '../../protocol/crypto/web.ts';
import { adderContract, cryptoContract } from '../contract/crypto-provider.ts';

adderContract();
cryptoContract('web in a browser', webCrypto);
cryptoContract('web in a browser, curves of tweetnacl', createWebCrypto('tweetnacl'));

test('this is a browser with WebCrypto', () => {
  expect(typeof window).toBe('object');
  expect(isSecureContext).toBe(true);
});
