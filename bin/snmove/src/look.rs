//! What only looks: `--plan` and `--verify`.

use program::{complain, escape, exit};
use service_node_move::{Facts, journal, verify};

use crate::request::request;
use crate::work::Work;
use crate::{NAME, show};

impl Work<'_> {
    /// `--plan`: nothing is written.
    pub(crate) fn show(&mut self) -> anyhow::Result<u8> {
        let request = request(self.args, self.tables)?;
        let Some(plan) = self.decide(&request, &journal::look()?)? else {
            return Ok(exit::SOME_FAILED);
        };
        for text in plan.warnings.iter().chain(&plan.failures) {
            complain(NAME, text);
        }
        if self.args.json {
            self.speaker.out.line(&serde_json::to_string(&plan)?);
        } else {
            for line in show::lines(&plan) {
                self.speaker.out.line(&escape(&line));
            }
        }
        complain(NAME, &show::sum(&plan));
        Ok(if plan.failures.is_empty() {
            exit::DONE
        } else {
            exit::SOME_FAILED
        })
    }

    /// `--verify`: nothing is written.
    pub(crate) fn verify(&mut self) -> anyhow::Result<u8> {
        let request = request(self.args, self.tables)?;
        let facts = Facts::read(self.tables, &request)?;
        let verdicts = verify::verify(self.tables, &facts, &self.host)?;
        for verdict in &verdicts {
            let line = if self.args.json {
                serde_json::to_string(verdict)?
            } else {
                show::line(verdict)
            };
            self.speaker.out.line(&escape(&line));
        }
        let reasons: Vec<String> = show::reasons(&verdicts).collect();
        reasons.iter().for_each(|reason| complain(NAME, reason));
        Ok(if reasons.is_empty() {
            exit::DONE
        } else {
            exit::SOME_FAILED
        })
    }
}
