// Parses an AsyncAPI document, prints what the parser says of it, and fails on any error.
import { readFileSync } from 'node:fs';
import { Parser } from '@asyncapi/parser';

const severities = ['error', 'warning', 'information', 'hint'];
const { document, diagnostics } = await new Parser().parse(readFileSync(process.argv[2], 'utf8'));
for (const { severity, path, message } of diagnostics) {
  console.log(`${severities[severity]}: ${path.join('.') || 'document'}: ${message}`);
}
if (!document || diagnostics.some(({ severity }) => severity === 0)) process.exit(1);
console.log(`${document.channels().length} channels, ${document.operations().length} operations, ${document.messages().length} messages, no error`);
