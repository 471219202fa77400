"""What PEFT itself makes of a run's adapters."""

import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM


def assert_peft_agrees(made, backbone_folder):
    """PEFT loads each of the three adapters and gives the scores that the engine gives; returns these, (b, 3)."""
    engine = made.model.engine
    prompts = made.model.prompts(made.data[2]._dataset.labelled)
    ours = engine.adapter_scores(prompts)
    yes, no = engine.encoder.answers.yes, engine.encoder.answers.no
    for k in range(3):
        base = AutoModelForCausalLM.from_pretrained(backbone_folder, dtype=torch.float32)
        model = PeftModel.from_pretrained(base, made.run_dir / "shards" / f"00{k}").eval()
        for i, prompt in enumerate(prompts):
            with torch.no_grad():
                z = model(input_ids=torch.tensor([prompt.ids])).logits[0, -1]
            torch.testing.assert_close(ours[i, k], torch.sigmoid(z[yes] - z[no]), atol=1e-5, rtol=1e-5)
    return ours
