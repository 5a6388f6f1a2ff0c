/** Imported first: tells zod to compile nothing at run time, which the page's security policy forbids and would report. */
import { z } from 'zod';

z.config({ jitless: true });
