// Reads {name: [metadata, …]} on stdin; writes {version, answers: {name: {SUVbw: [factor, …], …} or "refused: …"}}.
const { calculateSUVScalingFactors } = require('@cornerstonejs/calculate-suv');

console.warn = () => {};
const series = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const answers = {};
for (const [name, instances] of Object.entries(series)) {
  try {
    const found = calculateSUVScalingFactors(instances);
    answers[name] = {
      SUVbw: found.map((factors) => factors.suvbw),
      SUL_LBMJANMA: found.map((factors) => factors.suvlbmJanma),
    };
  } catch (error) {
    answers[name] = `refused: ${error.message}`;
  }
}
const { version } = require('@cornerstonejs/calculate-suv/package.json');
process.stdout.write(JSON.stringify({ version, answers }));
