/** record_qa_result: QA's one report. The verdict is computed from it, never taken from it. */
import { RecordQaResultParameters } from "../schema/parameters.ts";
import { recordReport } from "./reporting.ts";
import { defineTool } from "./tool.ts";

export const recordQaResult = defineTool({
  name: "record_qa_result",
  label: "Record QA result",
  description: "Report your judgement, once, as your last act: every criterion exactly once, each with evidence.",
  audience: "qa",
  parameters: RecordQaResultParameters,
  run(parameters, call) {
    const { criteria, feedback = "" } = parameters;
    return recordReport("qa", call, parameters, ({ step, runId }) => ({
      type: "QaReported",
      v: 1,
      at: call.desk.now().toISOString(),
      stepId: step.id,
      runId,
      criteria,
      feedback,
    }));
  },
});
