#!/usr/bin/env node
/** The command `tacit`: everything is in main.ts, so that tests can import it without running it. */
import { main } from './main.ts';

await main(process.argv.slice(2));
